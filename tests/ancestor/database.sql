-- What the documents of this deployment are made of.
SET timezone = 'UTC';
CREATE TYPE mood AS ENUM ('sad', 'fine', 'happy');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);

CREATE TABLE companies (id int PRIMARY KEY, name text NOT NULL, country text, parent_id int REFERENCES companies);
CREATE TABLE people (
    id bigint PRIMARY KEY, kind text NOT NULL, email text, full_name text, nickname varchar(30), tier mood, company_id int REFERENCES companies,
    manager_id bigint REFERENCES people, born date, created_at timestamptz NOT NULL, latitude double precision, longitude numeric(9, 6), home jsonb,
    titles jsonb, settings json, country text, deleted_at timestamptz, legal_hold boolean, balance numeric(12, 2));
CREATE TABLE profiles (id int PRIMARY KEY, user_id bigint UNIQUE REFERENCES people, bio text, avatar_url text, updated_at timestamptz);
CREATE TABLE devices (id int PRIMARY KEY, person_id bigint REFERENCES people, name text, last_seen timestamptz, score real);
CREATE TABLE products (id int PRIMARY KEY, sku text NOT NULL, title text, price numeric(10, 2), discontinued boolean);
CREATE TABLE orders (id int PRIMARY KEY, user_id bigint REFERENCES people, status text, total numeric(12, 2), placed_at timestamptz, gift boolean);
CREATE TABLE order_items (id int PRIMARY KEY, order_id int REFERENCES orders, product_id int REFERENCES products, quantity smallint, note text);
CREATE TABLE tags (id int PRIMARY KEY, name text NOT NULL, weight int);
CREATE TABLE person_tags (id serial PRIMARY KEY, person_id bigint REFERENCES people, tag_id int REFERENCES tags);

INSERT INTO companies VALUES (1, 'Analytical Engines', 'GB', NULL), (2, 'Difference Co', NULL, 1), (3, 'No One''s "Ltd" \ & Söhne', 'DE', 2);
INSERT INTO people SELECT i, (ARRAY['person', 'company', 'robot'])[1 + i % 3], CASE WHEN i % 6 > 0 THEN '  Person' || i || '@Example.COM ' END,
    CASE WHEN i % 7 > 0 THEN 'Name "' || i || E'" \\ \n\té🎈' END, NULLIF('nick' || i, 'nick4'), (ARRAY['sad', 'fine', 'happy', NULL])[1 + i % 4]::mood,
    NULLIF(i % 4, 0), NULLIF(i / 3, 0), date '1950-01-31' + i * 397, timestamptz '2020-01-01 00:00:00+02' + i * interval '1 day 0.25 seconds',
    CASE WHEN i % 5 > 0 THEN i * 1.25 END, CASE WHEN i % 8 > 0 THEN i * -2.125 END,
    CASE i % 3 WHEN 0 THEN NULL WHEN 1 THEN jsonb_build_object('lat', i, 'lon', -i) ELSE jsonb_build_array(i, 0.5) END,
    CASE WHEN i % 4 > 0 THEN jsonb_build_object('en', 'Title ' || i, 'de', 'Titel ' || i) END,
    CASE WHEN i % 5 > 0 THEN json_build_object('theme', 'dark', 'n', i, 'deep', json_build_array(1, NULL, true, 'x', 1.5)) END,
    (ARRAY['GB', 'DE', NULL])[1 + i % 3], CASE WHEN i % 5 = 0 THEN timestamptz '2024-05-06 07:08:09+00' END, (ARRAY[true, false])[1 + i % 2], i * 10.10
    FROM generate_series(1, 40) i;
INSERT INTO profiles SELECT i, i, NULLIF('Bio of ' || i, 'Bio of 9'), 'http://a/' || i || '?x=1&y=2', timestamptz '2021-02-03 04:05:06' + i * interval '1 hour' FROM generate_series(1, 40) i WHERE i % 3 > 0;
INSERT INTO devices SELECT i, 1 + i % 25, NULLIF('device ' || i, 'device 7'), timestamptz '2022-01-01' + i * interval '1 hour', i * 0.5 FROM generate_series(1, 60) i;
INSERT INTO products SELECT i, 'SKU-' || i, NULLIF('Product ' || i, 'Product 3'), i * 9.99, i % 4 = 0 FROM generate_series(1, 12) i;
INSERT INTO orders SELECT i, CASE WHEN i % 20 > 0 THEN 1 + i % 30 END, (ARRAY['paid', 'open', 'cancelled', NULL])[1 + i % 4], CASE WHEN i % 9 > 0 THEN i * 3.50 END,
    timestamptz '2023-01-01' + i * interval '37 hours', i % 3 = 0 FROM generate_series(1, 90) i;
INSERT INTO order_items SELECT i, 1 + i % 85, NULLIF(1 + i % 13, 13), CASE WHEN i % 11 > 0 THEN i % 7 END, CASE WHEN i % 2 = 0 THEN 'note ' || i END FROM generate_series(1, 200) i;
INSERT INTO tags SELECT i, 'Tag ' || i, NULLIF(i % 4, 0) FROM generate_series(1, 9) i;
INSERT INTO person_tags (person_id, tag_id) SELECT 1 + p % 38, t FROM generate_series(1, 38) p, generate_series(1, 9) t WHERE (p * t) % 5 < 2;

CREATE TABLE kinds (
    id uuid PRIMARY KEY, te text, vc varchar(20), ch char(5), na name, mo mood, uu uuid, bo boolean, sm smallint, i int, pos positive, bi bigint, re real,
    dp double precision, nu numeric, nu2 numeric(20, 4), da date, ti time, ts timestamp, tz timestamptz, js json, jb jsonb, ta text[], ia int[], ip inet,
    iv interval, mn money, pt point, geo_text text, lat real, lon int,
    text_uuid text, text_date text, text_moment text, text_number text, text_int text,
    by bytea, big numeric);
INSERT INTO kinds VALUES
 ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', E' Mixed "Case"\\ \n\té🎈\u0001/ ', 'Vc', 'ab', 'na', 'fine', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A12', true, -32768, 2147483647, 7,
  9007199254740993, 1.5, 0.1, 12345.678900, 1.5, '2020-02-29', '03:04:05.25', '2020-01-02 03:04:05', '2020-01-02 03:04:05.678912+05', E'{"b":\n [1, null, 2.50], "a": {}}', '{"en": "x", "de": "y"}',
  '{a,"b c",NULL}', '{1,2,NULL}', '10.0.0.1', '1 day 02:03:04', 12.34, '(1,2)', '41.12,-71.34', 1.25, -7,
  'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A13', '2020-02-29', '2020-01-02T03:04:05.6+02:00', '12.50', '42'),
 ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a13', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1,
  NULL, NULL, NULL, NULL, NULL),
 ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a14', '', '', '', '', 'sad', 'a0eebc999c0b4ef8bb6d6bb9bd380a15', false, 0, 0, 1, 0, 'NaN', 'Infinity', 'NaN', 0, 'infinity', '00:00', 'infinity', '-infinity',
  'null', '[]', '{}', '{}', '::1/64', '0', 0, '(0,0)', '', 0, 0, 'no uuid', 'no date', 'no moment', 'no number', ''),
 ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a16', 'x', 'y', 'z', 'w', 'happy', 'ffffffff-ffff-ffff-ffff-ffffffffffff', true, 32767, -2147483648, 2147483647, -9223372036854775808, -0.25, 1e-7, -0.00, -99999.9999,
  '0044-03-15 BC', '23:59:59.999999', '1999-12-31 23:59:59.999', '2024-06-30 12:00:00.5-03:30', '"text"', '7', '{{a,b},{c,d}}', '{{1},{2}}', '192.168.0.0/16', '-1 mons', -1.5, '(-1.5,1e10)', '0,0', -0.5, 180,
  'a0eebc999c0b4ef8bb6d6bb9bd380a17', '2020-2-9', '2020-01-02 03:04:05', '-1e3', '-7'),
 ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a18', '0', '0', '0', '0', 'sad', NULL, NULL, 1, 1, 1, 9223372036854775807, 1e10, 123456789.125, 100, 100, '9999-12-31', '12:00', '2020-01-02 03:04:05.123456', '1970-01-01 00:00:00+00',
  '[]', '{"a": [{"b": null}], "n": 1e2}', '{NULL}', NULL, '2001:db8::1', '1 year', 0.01, NULL, NULL, 0.1, 2, '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a19}', '2020-02-30', '2020-01-02', '1,5', '9223372036854775808');

UPDATE kinds SET by = '\x00ff10', big = 12345678901234567890.12345678901234567890 WHERE bo;

CREATE TABLE tickets (code text PRIMARY KEY, title text, state text, gone boolean, why text, amount numeric(8, 2), opened date, at timestamptz, n int);
INSERT INTO tickets SELECT 'T-' || i, 'Ticket ' || i, (ARRAY['a', 'B', 'c%', 'd_', NULL])[1 + i % 5], (ARRAY[true, false, NULL])[1 + i % 3], (ARRAY['spam', 'other', ''])[1 + i % 3 * i % 3],
    NULLIF(i % 7, 3) + 0.50, date '2024-01-01' + i, timestamptz '2024-01-01' + i * interval '1 day', i FROM generate_series(1, 60) i;
INSERT INTO tickets VALUES ('odd: "quoted" \ é', 'x', 'a', NULL, NULL, 1, '2024-01-01', '2024-01-01 00:00:00+00', 0), ('', 'empty', 'a', false, 'spam', 1, '2024-01-02', '2024-01-02 00:00:00+00', 0);
CREATE TABLE watchers (id int PRIMARY KEY, ticket text, who text, n numeric(6, 2));
INSERT INTO watchers SELECT i, 'T-' || i % 50, 'w' || i % 7, i * 0.25 FROM generate_series(1, 120) i;

CREATE TABLE notes (id int PRIMARY KEY, body text, hidden boolean, parent int REFERENCES notes, at timestamp);
INSERT INTO notes SELECT i, 'Note ' || i, (ARRAY[true, false, NULL])[1 + i % 3], NULLIF(i / 2, 0), timestamp '2024-01-01' + i * interval '1 minute' FROM generate_series(1, 30) i;

CREATE SCHEMA crm;
CREATE TABLE crm.accounts (id int PRIMARY KEY, fullname text, code text, ref text, level int);
CREATE TABLE crm.contacts (id int PRIMARY KEY, account_id int, email text);
INSERT INTO crm.accounts VALUES (1, 'One', ' Ab-1 ', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A12', 3), (2, NULL, NULL, NULL, NULL);
INSERT INTO crm.contacts VALUES (1, 1, 'a@b'), (2, 1, NULL), (3, 2, 'c@d');
