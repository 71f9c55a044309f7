-- A shop of {users} users: 5 orders each, 3 items an order, 2 addresses, profiles.
CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL, name text, status text NOT NULL, balance numeric(12,2), created_at timestamptz NOT NULL);
CREATE TABLE profiles (id bigint PRIMARY KEY, user_id bigint NOT NULL UNIQUE REFERENCES users, bio text, birthday date, settings jsonb);
CREATE TABLE addresses (id bigint PRIMARY KEY, user_id bigint NOT NULL REFERENCES users, street text, city text, zip text, lat double precision, lon double precision);
CREATE TABLE products (id bigint PRIMARY KEY, sku text NOT NULL, title text NOT NULL, price numeric(10,2) NOT NULL);
CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint NOT NULL REFERENCES users, status text NOT NULL, total numeric(12,2) NOT NULL, placed_at timestamptz NOT NULL);
CREATE TABLE order_items (id bigint PRIMARY KEY, order_id bigint NOT NULL REFERENCES orders, product_id bigint NOT NULL REFERENCES products, quantity int NOT NULL, price numeric(10,2) NOT NULL);
CREATE TABLE tags (id int PRIMARY KEY, label text NOT NULL);
CREATE TABLE product_tags (product_id bigint REFERENCES products, tag_id int REFERENCES tags, PRIMARY KEY (product_id, tag_id));
INSERT INTO users SELECT i, 'User'||i||'@Example.com ', CASE WHEN i%7>0 THEN 'User Number '||i END, CASE WHEN i%5=0 THEN 'inactive' ELSE 'active' END, i*1.37, '2020-01-01'::timestamptz + i*interval '61.5 seconds' FROM generate_series(1,{users}) i;
INSERT INTO profiles SELECT i, i, 'A short biography of user '||i||', who likes "quotes" and more.', date '1970-01-01'+(i%15000)::int, jsonb_build_object('theme', 'dark', 'n', i) FROM generate_series(1,{users}) i WHERE i%11>0;
INSERT INTO addresses SELECT i, (i+1)/2, i||' Main Street', 'City '||(i%100), lpad((i%99999)::text,5,'0'), (i%180)-90+0.25, (i%360)-180+0.5 FROM generate_series(1,2*{users}) i;
INSERT INTO products SELECT i, 'SKU-'||i, 'Product title number '||i, (i%500)+0.99 FROM generate_series(1,2000) i;
INSERT INTO orders SELECT i, (i+4)/5, CASE WHEN i%3=0 THEN 'paid' ELSE 'open' END, (i%1000)+0.5, '2021-01-01'::timestamptz + i*interval '7 minutes' FROM generate_series(1,5*{users}) i;
INSERT INTO order_items SELECT i, (i+2)/3, 1+(i*7)%2000, 1+i%7, (i%500)+0.99 FROM generate_series(1,15*{users}) i;
INSERT INTO tags SELECT i, 'Tag '||i FROM generate_series(1,20) i;
INSERT INTO product_tags SELECT p, 1+(p*t)%20 FROM generate_series(1,2000) p, generate_series(1,3) t ON CONFLICT DO NOTHING;
CREATE INDEX ON addresses(user_id); CREATE INDEX ON orders(user_id); CREATE INDEX ON order_items(order_id); CREATE INDEX ON order_items(product_id); CREATE INDEX ON product_tags(tag_id);
ANALYZE;
