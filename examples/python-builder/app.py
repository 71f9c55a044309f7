"""Orders with their customer and items, and categories with the path to their top."""

from flusso import *

plugin("python-builder", "0.1.0", "Orders and category paths, in Python")

orders = Table("public.orders", "id", "user_id", "status")
users = Table("public.users", "id", "name")
items = Table("public.order_items", "id", "order_id", "product_id", "quantity", "price")
products = Table("public.products", "id", "title")
categories = Table("public.categories", "id", "parent_id", "name")


@index("orders", root=orders, reads=[users.by("id"), items.by("order_id"), products.by("id")], fields={
    "id": "long", "status": "keyword?", "user": "text?", "total": "decimal",
    "items": "nested[]", "items.title": "text?", "items.quantity": "integer?", "items.price": "decimal?",
})
async def order(row, db):
    if row.status == "void":
        return None
    user, lines = await db.together(db.one(users, id=row.user_id), db.by(items, order_id=row.id, order=["id"]))
    found = await db.together(*(db.one(products, id=line.product_id) for line in lines))
    return {
        "id": row.id,
        "status": row.status,
        "user": user and user.name,
        "total": sum((line.price * line.quantity for line in lines), 0),
        "items": [{"title": product and product.title, "quantity": line.quantity, "price": line.price} for line, product in zip(lines, found)],
    }


@index("categories", root=categories, reads=[categories.by("id")], fields={"id": "long", "path": "keyword[]"})
async def category(row, db):
    path, above = [row.name], row.parent_id
    while above is not None:
        parent = await db.one(categories, id=above)
        if parent is None:
            return None
        if len(path) == 20:
            raise Failed("cycle", f"category {above} is above itself")
        path.insert(0, parent.name)
        above = parent.parent_id
    return {"id": row.id, "path": path}
