-- A small shop: customers, what they ordered, and what the orders are of.
CREATE TABLE products (id int PRIMARY KEY, sku text NOT NULL, title text NOT NULL, price numeric(10, 2) NOT NULL);
CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, email text, city text, deleted_at timestamptz);
CREATE TABLE orders (
    id int PRIMARY KEY, customer_id int NOT NULL REFERENCES customers, status text NOT NULL, placed_at timestamptz NOT NULL);
CREATE TABLE order_lines (
    order_id int REFERENCES orders, line int, product_id int NOT NULL REFERENCES products, quantity int NOT NULL,
    PRIMARY KEY (order_id, line));
CREATE INDEX ON orders (customer_id);
CREATE INDEX ON order_lines (product_id);

INSERT INTO products VALUES
    (1, 'MUG-0001', 'Mug, blue', 8.50), (2, 'MUG-0002', 'Mug, white', 7.90), (3, 'TEA-0100', 'Green tea', 5.20),
    (4, 'TEA-0101', 'Crème brûlée rooibos', 6.40), (5, 'POT-0007', 'Cast-iron teapot', 49.00);
INSERT INTO customers VALUES
    (1, 'Ada Lovelace', 'ada@example.com', 'London'), (2, 'Grace Hopper', 'grace@example.com', 'New York'),
    (3, 'Émilie du Châtelet', 'emilie@example.com', 'Paris'), (4, 'Somebody Gone', NULL, NULL);
UPDATE customers SET deleted_at = now() WHERE id = 4;
INSERT INTO orders VALUES
    (1, 1, 'paid', '2026-01-05 10:00:00+00'), (2, 1, 'open', '2026-02-01 12:30:00+00'), (3, 2, 'paid', '2026-01-20 08:15:00+00'),
    (4, 3, 'cancelled', '2026-01-21 17:45:00+00');
INSERT INTO order_lines VALUES (1, 1, 1, 2), (1, 2, 3, 1), (2, 1, 5, 1), (3, 1, 4, 3), (4, 1, 2, 1);
