-- A small catalogue: `psql "$DATABASE_URL" -f tables.sql`
CREATE TABLE categories (id bigint PRIMARY KEY, parent_id bigint REFERENCES categories, name text NOT NULL);
CREATE TABLE products (id bigint PRIMARY KEY, name text NOT NULL, category_id bigint REFERENCES categories, retired boolean NOT NULL DEFAULT false);
CREATE TABLE sales (id bigint PRIMARY KEY, product_id bigint NOT NULL REFERENCES products, quantity int NOT NULL, price numeric(20, 4) NOT NULL);
CREATE INDEX ON products (category_id);
CREATE INDEX ON sales (product_id);
INSERT INTO categories VALUES (1, NULL, 'Tools'), (2, 1, 'Saws'), (3, 2, 'Hand saws'), (4, NULL, 'Paint');
INSERT INTO products VALUES (1, 'Fret saw', 3), (2, 'Panel saw', 3), (3, 'Chain saw', 2), (4, 'White', 4), (5, 'Loose ends', NULL);
INSERT INTO sales SELECT i, 1 + i % 5, 1 + i % 4, i * 1.0005 FROM generate_series(1, 60) i;
