SELECT i.order_id || ':' || oracle.part(i.line), json_build_object('quantity', i.quantity, 'price', i.price,
  'status', o.status, 'email', u.email, 'theme', p.theme)
FROM items i LEFT JOIN orders o ON o.id = i.order_id LEFT JOIN users u ON u.id = o.user_id LEFT JOIN profiles p ON p.user_id = u.id
