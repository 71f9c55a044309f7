SELECT o.id::text, json_build_object(
  'id', o.id, 'status', coalesce(o.status, 'unknown'), 'total', o.total, 'placedAt', oracle.moment(o.placed_at), 'note', o.note, 'meta', o.meta,
  'user', (SELECT json_build_object('name', u.name, 'company',
      (SELECT json_build_object('name', c.name, 'at', CASE WHEN c.lat IS NOT NULL AND c.lon IS NOT NULL THEN json_build_object('lat', c.lat, 'lon', c.lon) END) FROM companies c WHERE c.id = u.company_id),
      'tags', (SELECT count(*) FROM labels j JOIN tags t ON t.id = j.tag_id WHERE j.user_id = u.id))
      FROM users u WHERE u.id = o.user_id AND u.kind IS NOT NULL),
  'items', (SELECT coalesce(json_agg(json_build_object('line', i.line, 'price', i.price, 'product',
        (SELECT json_build_object('name', p.name) FROM products p WHERE p.code = i.product)) ORDER BY i.price DESC, i.line), '[]')
      FROM (SELECT * FROM items i WHERE i.order_id = o.id ORDER BY price DESC, line LIMIT 20) i),
  'quantity', (SELECT sum(quantity) FROM items i WHERE i.order_id = o.id),
  'lastLine', (SELECT max(line) FROM items i WHERE i.order_id = o.id),
  'large', (SELECT count(*) FROM items i WHERE i.order_id = o.id AND i.quantity > 5))
FROM orders o WHERE o.status <> 'void' AND NOT o.gone
