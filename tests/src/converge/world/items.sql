SELECT i.order_id || ':' || oracle.part(i.line), json_build_object('quantity', i.quantity, 'price', i.price, 'order',
  (SELECT json_build_object('total', o.total, 'status', o.status, 'user',
     (SELECT json_build_object('email', u.email, 'profile', (SELECT json_build_object('theme', p.theme) FROM profiles p WHERE p.user_id = u.id))
      FROM users u WHERE u.id = o.user_id)) FROM orders o WHERE o.id = i.order_id))
FROM items i
