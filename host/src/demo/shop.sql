CREATE TABLE users (
    id    integer PRIMARY KEY,
    name  text NOT NULL,
    email text NOT NULL,
    city  text
);
CREATE TABLE products (
    id    integer PRIMARY KEY,
    name  text NOT NULL,
    price numeric(8, 2) NOT NULL,
    tags  jsonb NOT NULL DEFAULT '[]'
);
CREATE TABLE orders (
    id      integer PRIMARY KEY,
    user_id integer NOT NULL REFERENCES users,
    status  text NOT NULL,
    placed  timestamptz NOT NULL
);
CREATE TABLE order_items (
    order_id   integer REFERENCES orders,
    product_id integer REFERENCES products,
    quantity   integer NOT NULL,
    PRIMARY KEY (order_id, product_id)
);

INSERT INTO users VALUES
    (1, 'Ada Lovelace', 'ada@example.com', 'London'),
    (2, 'Grace Hopper', 'grace@example.com', 'New York'),
    (3, 'Edsger Dijkstra', 'edsger@example.com', 'Rotterdam'),
    (4, 'Barbara Liskov', 'barbara@example.com', 'Los Angeles'),
    (5, 'Alan Kay', 'alan@example.com', NULL),
    (6, 'Margaret Hamilton', 'margaret@example.com', 'Paoli'),
    (7, 'Tony Hoare', 'tony@example.com', 'Colombo'),
    (8, 'Radia Perlman', 'radia@example.com', 'Portsmouth');

INSERT INTO products VALUES
    (1, 'Espresso machine', 389.00, '["kitchen", "coffee"]'),
    (2, 'Hand grinder', 74.50, '["kitchen", "coffee"]'),
    (3, 'Wool blanket', 120.00, '["home"]'),
    (4, 'Reading lamp', 59.90, '["home", "light"]'),
    (5, 'Fountain pen', 48.00, '["desk"]'),
    (6, 'Dot grid notebook', 12.50, '["desk", "paper"]'),
    (7, 'Chess set', 85.00, '["games"]'),
    (8, 'Travel mug', 24.00, '["coffee", "outdoors"]'),
    (9, 'Rain jacket', 149.00, '["outdoors"]');

INSERT INTO orders VALUES
    (1001, 1, 'delivered', '2026-03-02 09:14:00+00'),
    (1002, 2, 'delivered', '2026-03-05 17:40:00+00'),
    (1003, 4, 'shipped', '2026-04-11 08:05:00+00'),
    (1004, 1, 'shipped', '2026-04-12 20:31:00+00'),
    (1005, 6, 'packed', '2026-04-14 11:22:00+00'),
    (1006, 8, 'packed', '2026-04-14 15:47:00+00');

INSERT INTO order_items VALUES
    (1001, 1, 1), (1001, 8, 2), (1002, 5, 1), (1002, 6, 4), (1003, 9, 1), (1003, 3, 1),
    (1004, 2, 1), (1004, 6, 2), (1005, 7, 1), (1005, 4, 2), (1006, 6, 10);
