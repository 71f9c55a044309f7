SELECT json_build_object('id', u.id, 'email', trim(lower(u.email)), 'name', u.name, 'status', u.status, 'balance', u.balance, 'createdAt', u.created_at,
  'profile', (SELECT json_build_object('bio', p.bio, 'birthday', p.birthday, 'settings', p.settings) FROM profiles p WHERE p.user_id = u.id LIMIT 1),
  'addresses', (SELECT coalesce(json_agg(json_build_object('street', a.street, 'city', a.city, 'zip', a.zip, 'location', json_build_object('lat', a.lat, 'lon', a.lon)) ORDER BY a.id), '[]') FROM addresses a WHERE a.user_id = u.id),
  'orders', (SELECT coalesce(json_agg(json_build_object('id', o.id, 'status', o.status, 'total', o.total, 'placedAt', o.placed_at,
     'items', (SELECT coalesce(json_agg(json_build_object('quantity', i.quantity, 'price', i.price,
        'product', (SELECT json_build_object('sku', r.sku, 'title', r.title) FROM products r WHERE r.id = i.product_id)) ORDER BY i.id), '[]') FROM order_items i WHERE i.order_id = o.id)) ORDER BY o.placed_at DESC), '[]')
     FROM orders o WHERE o.user_id = u.id),
  'orderCount', (SELECT count(*) FROM orders o WHERE o.user_id = u.id),
  'spent', (SELECT sum(o.total) FROM orders o WHERE o.user_id = u.id AND o.status = 'paid'))
FROM users u ORDER BY u.id
