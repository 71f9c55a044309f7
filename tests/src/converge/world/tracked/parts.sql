SELECT oracle.part(p.code::text) || ':' || p.grade || ':' || trim_scale(p.size), json_build_object('label', p.label,
  'pieces', (SELECT coalesce(json_agg(c.q ORDER BY c.id), '[]') FROM pieces c WHERE c.code = p.code AND c.grade = p.grade AND c.size = p.size))
FROM parts p
