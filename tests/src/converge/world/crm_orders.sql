SELECT o.id::text, json_build_object('total', o.total, 'user',
  (SELECT json_build_object('name', u.name, 'orders', (SELECT count(*) FROM public.orders p WHERE p.user_id = u.id)) FROM users u WHERE u.id = o.user_id))
FROM crm.orders o
