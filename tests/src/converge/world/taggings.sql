SELECT t.id::text, json_build_object('id', t.id, 'type', t.owner_type,
    'user', (SELECT json_build_object('name', u.name) FROM users u WHERE u.id = t.owner_id AND t.owner_type = 'user'),
    'order', (SELECT json_build_object('status', o.status, 'user', (SELECT json_build_object('name', u.name) FROM users u WHERE u.id = o.user_id))
              FROM orders o WHERE o.id = t.owner_id AND t.owner_type = 'order'))
FROM taggings t
