// Orders with their customer and items, and categories with the path to their top.

import { Exact, Failed, exported, index, plugin, table } from "./flusso.js";

export const { plugin: plugin_, trackedBuilder } = exported;
export { plugin_ as plugin };

plugin("javascript-builder", "0.1.0", "Orders and category paths, in JavaScript");

const orders = table("public.orders", "id", "user_id", "status");
const users = table("public.users", "id", "name");
const items = table("public.order_items", "id", "order_id", "product_id", "quantity", "price");
const products = table("public.products", "id", "title");
const categories = table("public.categories", "id", "parent_id", "name");

index("orders", {
  root: orders,
  reads: [users.by("id"), items.by("order_id"), products.by("id")],
  fields: {
    id: "long", status: "keyword?", user: "text?", total: "decimal",
    items: "nested[]", "items.title": "text?", "items.quantity": "integer?", "items.price": "decimal?",
  },
}, async (order, db) => {
  if (order.status === "void") return null;
  const [user, lines] = await Promise.all([
    db.one(users, { id: order.user_id }),
    db.by(items, { order_id: order.id }, { order: ["id"] }),
  ]);
  const found = await Promise.all(lines.map((line) => db.one(products, { id: line.product_id })));
  return {
    id: order.id,
    status: order.status,
    user: user && user.name,
    total: total(lines),
    items: lines.map(({ quantity, price }, at) => ({ title: found[at] && found[at].title, quantity, price })),
  };
});

// Exact, in ten-thousandths, which is what the column holds.
function total(lines) {
  const parts = ({ text }) => {
    const [whole, rest = ""] = text.split(".");
    return BigInt(whole + rest.padEnd(4, "0"));
  };
  const sum = lines.reduce((sum, { price, quantity }) => sum + parts(price) * BigInt(quantity), 0n);
  return new Exact("decimal", `${sum / 10000n}.${String(sum % 10000n).padStart(4, "0")}`);
}

index("categories", { root: categories, reads: [categories.by("id")], fields: { id: "long", path: "keyword[]" } }, async (category, db) => {
  const path = [category.name];
  for (let above = category.parent_id; above !== null; ) {
    const parent = await db.one(categories, { id: above });
    if (parent === null) return null;
    if (path.length === 20) throw new Failed("cycle", `category ${above} is above itself`);
    path.unshift(parent.name);
    above = parent.parent_id;
  }
  return { id: category.id, path };
});
