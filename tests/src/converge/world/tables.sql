-- The tables of the convergence test, and a start in each. No foreign keys but where a cascade is wanted: a link that leads
-- nowhere is a case of its own.
DO $$ BEGIN CREATE EXTENSION citext; EXCEPTION WHEN OTHERS THEN CREATE DOMAIN citext AS text; END $$;
CREATE SCHEMA crm;
CREATE TYPE tier AS ENUM ('free', 'paid', 'gold');
CREATE DOMAIN sku AS text CHECK (value <> '');
CREATE DOMAIN amount AS numeric(12, 2);

CREATE TABLE companies (id uuid PRIMARY KEY, name text, lat float8, lon float8, settings jsonb, region text);
CREATE TABLE users (
    id bigint PRIMARY KEY, name text, email citext, tier tier, company_id uuid, boss_id bigint, balance numeric(12, 2),
    born date, created_at timestamptz, title jsonb, bio text, active boolean, lat numeric, lon float8,
    kind text DEFAULT 'person', deleted_at timestamptz, hold boolean);
CREATE INDEX ON users (company_id);
CREATE INDEX ON users (boss_id);
CREATE TABLE profiles (user_id bigint PRIMARY KEY, bio text, updated_at timestamptz, theme text);
CREATE TABLE orders (
    id bigint PRIMARY KEY, user_id bigint, status text, total amount, placed_at timestamptz, note text, meta jsonb,
    gone boolean NOT NULL DEFAULT false);
CREATE INDEX ON orders (user_id);
CREATE TABLE items (order_id bigint, line text, product sku, quantity int, price numeric, PRIMARY KEY (order_id, line));
CREATE INDEX ON items (product);
CREATE TABLE products (
    code sku PRIMARY KEY, name text, shown text GENERATED ALWAYS AS (upper(name)) STORED, price numeric(10, 3), extra jsonb);
CREATE TABLE tags (id text PRIMARY KEY, name text, weight int);
CREATE TABLE user_tags (
    user_id bigint REFERENCES users ON UPDATE CASCADE ON DELETE CASCADE, tag_id text, PRIMARY KEY (user_id, tag_id));
CREATE INDEX ON user_tags (tag_id);
CREATE TABLE labels (id bigserial PRIMARY KEY, user_id bigint, tag_id text);
CREATE INDEX ON labels (user_id);
CREATE INDEX ON labels (tag_id);
-- What is tagged is a user or an order, by its type.
CREATE TABLE taggings (id bigserial PRIMARY KEY, tag_id text, owner_type text, owner_id bigint, rank int);
CREATE INDEX ON taggings (owner_id);
CREATE INDEX ON taggings (tag_id);
CREATE TABLE crm.orders (id int PRIMARY KEY, user_id bigint, total int, at timestamp);
CREATE INDEX ON crm.orders (user_id);
CREATE TABLE parts (code citext, grade tier, size numeric, label text, PRIMARY KEY (code, grade, size));
CREATE TABLE pieces (id serial PRIMARY KEY, code citext, grade tier, size numeric, q int, part_label text);
CREATE INDEX ON pieces (code, grade, size);
CREATE TABLE readings (sensor uuid, at timestamptz, day date, value numeric, tier tier, raw bytea, PRIMARY KEY (sensor, at));
CREATE TABLE sentinels (id bigint PRIMARY KEY);

-- A uuid by its number, so that writers can name it.
CREATE FUNCTION uu(n bigint) RETURNS uuid IMMUTABLE LANGUAGE sql AS $$ SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid $$;
-- A text that is stored out of line.
CREATE FUNCTION long(n bigint) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT string_agg(md5((n * 100 + i)::text), '') FROM generate_series(1, 90) i $$;

-- What the documents are compared with is written with these and plain SQL.
CREATE SCHEMA oracle;
CREATE FUNCTION oracle.part(part text) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT replace(replace(part, '\', '\\'), ':', '\:') $$;
CREATE FUNCTION oracle.moment(at timestamptz) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"+00:00"') $$;

INSERT INTO companies SELECT uu(i), 'Company ' || i, i, -i, jsonb_build_object('n', i), (ARRAY['north', 'south', NULL])[1 + i % 3] FROM generate_series(0, 19) i;
INSERT INTO users (id, name, email, tier, company_id, boss_id, balance, born, created_at, title, bio, active, lat, lon, kind)
    SELECT i, 'User ' || i, 'User' || i || '@Example.com', (ARRAY['free', 'paid', 'gold', NULL])[1 + i % 4]::tier, uu(i % 22), i / 7, i * 1.25, date '1970-01-01' + i,
           timestamptz '2020-01-01 00:00:00+00' + i * interval '1 hour', jsonb_build_object('en', 'user ' || i), CASE WHEN i % 5 = 0 THEN long(i) END, i % 3 > 0, i % 90, -i % 90,
           (ARRAY['person', 'company', 'robot', NULL])[1 + i % 4] FROM generate_series(0, 399) i;
INSERT INTO profiles SELECT i, 'bio ' || i, timestamptz '2021-01-01 00:00:00+00', 'dark' FROM generate_series(0, 399, 2) i;
INSERT INTO orders SELECT i, i % 420, (ARRAY['open', 'paid', 'void', NULL])[1 + i % 4], i * 0.5, timestamptz '2022-01-01 00:00:00+00' + i % 50 * interval '1 day', CASE WHEN i % 6 = 0 THEN long(i) END,
           jsonb_build_object('n', i) FROM generate_series(0, 1199) i;
INSERT INTO products (code, name, price) SELECT 'p:' || i, 'Product ' || i, i * 1.125 FROM generate_series(0, 59) i;
INSERT INTO items SELECT i % 1230, 'l:' || i, 'p:' || i % 63, i % 9, i * 0.01 FROM generate_series(0, 2999) i;
INSERT INTO tags SELECT 't' || i, 'Tag ' || i, i % 5 FROM generate_series(0, 19) i;
INSERT INTO user_tags SELECT i % 400, 't' || i % 23 FROM generate_series(0, 899) i ON CONFLICT DO NOTHING;
INSERT INTO labels (user_id, tag_id) SELECT i % 410, 't' || i % 23 FROM generate_series(0, 899) i;
INSERT INTO taggings (tag_id, owner_type, owner_id, rank) SELECT 't' || i % 23, (ARRAY['user', 'order', 'page', NULL])[1 + i % 4], i % 410, i % 7 FROM generate_series(0, 899) i;
INSERT INTO crm.orders SELECT i, i % 410, i, timestamp '2022-01-01 00:00:00' + i * interval '1 hour' FROM generate_series(0, 599) i;
INSERT INTO parts SELECT 'Code:' || i % 10, (ARRAY['free', 'paid', 'gold'])[1 + i % 3]::tier, i % 7 * 0.50, 'part ' || i FROM generate_series(0, 199) i ON CONFLICT DO NOTHING;
INSERT INTO pieces (code, grade, size, q) SELECT 'CODE:' || i % 10, (ARRAY['free', 'paid', 'gold', NULL])[1 + i % 4]::tier, i % 7 * 0.5, i FROM generate_series(0, 399) i;
INSERT INTO readings SELECT uu(i % 30), timestamptz '2023-01-01 00:00:00+00' + i * interval '1 minute', date '2023-01-01' + i % 60, i * 0.10, 'paid', decode(md5(i::text), 'hex') FROM generate_series(0, 299) i;
ANALYZE;
