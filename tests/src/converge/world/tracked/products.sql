SELECT p.code, json_build_object('shown', upper(p.name), 'price', p.price,
  'sold', (SELECT sum(quantity) FROM items i WHERE i.product = p.code),
  'top', (SELECT coalesce(json_agg(json_build_object('line', i.line, 'status', (SELECT o.status FROM orders o WHERE o.id = i.order_id))
       ORDER BY i.quantity DESC, i.order_id, i.line), '[]')
     FROM (SELECT * FROM items i WHERE i.product = p.code ORDER BY quantity DESC, order_id, line LIMIT 3) i))
FROM products p
