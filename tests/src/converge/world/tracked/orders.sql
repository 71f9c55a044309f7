SELECT o.id::text, json_build_object(
  'id', o.id, 'status', o.status, 'total', o.total, 'note', o.note,
  'user', (SELECT json_build_object('name', u.name, 'company', (SELECT c.name FROM companies c WHERE c.id = u.company_id),
      'tags', (SELECT count(*) FROM labels j JOIN tags t ON t.id = j.tag_id WHERE j.user_id = u.id))
      FROM users u WHERE u.id = o.user_id AND u.kind IS NOT NULL),
  'items', (SELECT coalesce(json_agg(json_build_object('line', i.line, 'price', i.price, 'product',
        (SELECT p.name FROM products p WHERE p.code = i.product)) ORDER BY i.price DESC, i.line), '[]')
      FROM (SELECT * FROM items i WHERE i.order_id = o.id ORDER BY price DESC, line LIMIT 20) i),
  'quantity', (SELECT sum(quantity) FROM items i WHERE i.order_id = o.id),
  'last', (SELECT max(line) FROM items i WHERE i.order_id = o.id),
  'large', (SELECT count(*) FROM items i WHERE i.order_id = o.id AND i.quantity > 5))
FROM orders o WHERE o.status <> 'void' AND NOT o.gone
