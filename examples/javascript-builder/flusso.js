// Document builders for flusso-host: one async function a document. The builds of a batch run side by side; what they all wait for
// crosses to the host in one read. app.js beside this file shows all of it.

import { read } from "flusso:connector/tracked-reader@0.2.0";

const about = {};
const indexes = [];

/** The builder's part of the configuration. */
export const settings = {};

/** Why a document cannot be built, with a short class to count by; any other error counts as class `build`. */
export class Failed extends Error {
  constructor(kind, reason) {
    super(reason);
    this.kind = kind;
  }
}

/** A value of a kind that JavaScript has no type for: an exact decimal, a uuid, a date, a time, a timestamp, as text. */
export class Exact {
  constructor(kind, text) {
    Object.assign(this, { kind, text });
  }
  toString() {
    return this.text;
  }
}

const ours = ({ tag, val }) => {
  if (tag === "null") return null;
  if (tag === "integer") return Number.isSafeInteger(Number(val)) ? Number(val) : val;
  if (tag === "json") return JSON.parse(val);
  return ["boolean", "float", "text", "bytes"].includes(tag) ? val : new Exact(tag, val);
};

const theirs = (value) => {
  if (value === null || value === undefined) return { tag: "null" };
  if (value instanceof Exact) return { tag: value.kind, val: value.text };
  if (value instanceof Uint8Array) return { tag: "bytes", val: value };
  if (typeof value === "bigint") return { tag: "integer", val: value };
  if (typeof value === "number") return Number.isInteger(value) ? { tag: "integer", val: BigInt(value) } : { tag: "float", val: value };
  if (typeof value === "boolean") return { tag: "boolean", val: value };
  return typeof value === "string" ? { tag: "text", val: value } : { tag: "json", val: JSON.stringify(value) };
};

/** A table and the columns of it that are read: `table("public.orders", "id", "customer_id")`. */
export function table(name, ...columns) {
  const dot = name.lastIndexOf(".");
  const named = { schema: dot < 0 ? "public" : name.slice(0, dot), name: name.slice(dot + 1) };
  const row = (values) => Object.fromEntries(columns.map((column, at) => [column, ours(values[at])]));
  // `by`: for `reads` of an index, lookups by these columns together; by none: reads of the whole table.
  return { name: named, columns, row, by: (...by) => ({ table: { name: named, columns }, by }) };
}

/** What a build reads with. */
class Reads {
  constructor(document, waiting) {
    Object.assign(this, { document, waiting });
  }
  /** Rows by columns: `db.by(items, { order_id: 1 }, { order: ["product", "-id"], where: [["quantity", "gt", 3]], limit: 10 })`. */
  by(table, by, { order = [], where = [], limit } = {}) {
    const kind = {
      table: table.name,
      columns: table.columns,
      by: Object.keys(by),
      filters: where.map(([column, comparison, ...operands]) => ({
        tag: "condition",
        val: { column, comparison, operands: operands.map(theirs) },
      })),
      order: order.map((column) => ({ column: column.replace(/^-/, ""), descending: column.startsWith("-") })),
      limit,
    };
    const lookup = { document: this.document, values: Object.values(by).map(theirs) };
    return new Promise((found, failed) => {
      this.waiting.push({ kind, lookup, found: (rows) => found(rows.map(table.row)), failed });
    });
  }
  /** The first row, or null. */
  async one(table, by) {
    return (await this.by(table, by, { limit: 1 }))[0] ?? null;
  }
}

const shape = (value) => JSON.stringify(value, (_, it) => (typeof it === "bigint" ? `${it}n` : it));

function cross(reads) {
  const kinds = new Map();
  for (const one of reads) {
    const key = shape(one.kind);
    if (!kinds.has(key)) kinds.set(key, []);
    kinds.get(key).push(one);
  }
  const groups = [...kinds.values()];
  const found = read(groups.map((group) => ({ ...group[0].kind, lookups: group.map((one) => one.lookup) })));
  groups.forEach((group, at) => group.forEach((one, place) => one.found(found[at][place])));
}

/** The builder of an index. `fields`: path → type of the schema language, with `?` where null may be and `[]` for a list. */
export function index(name, { root, fields, reads = [], version = 1 }, build) {
  indexes.push({ name, root, fields, reads, version, build });
}

/** What the plugin is called, and the JSON Schema of its settings. */
export function plugin(name, version, description = "", schema = { type: "object", additionalProperties: false }) {
  Object.assign(about, { name, version, description, contract: "0.2.0", roles: ["tracked-builder"], settings: schema });
}

function body(value) {
  if (value instanceof Exact) return value.kind === "decimal" ? value.text : JSON.stringify(value.text);
  if (typeof value === "bigint") return value.toString();
  if (Array.isArray(value)) return `[${value.map(body).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value ?? null);
  return `{${Object.entries(value).map(([key, one]) => `${JSON.stringify(key)}:${body(one)}`).join(",")}}`;
}

function hash(text) {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn;
  return hash.toString(16).padStart(16, "0");
}

export const exported = {
  plugin: { manifest: () => JSON.stringify(about) },
  trackedBuilder: {
    open: (text) => void Object.assign(settings, JSON.parse(text)),
    indexes: () => indexes.map(({ name, root, fields, reads, version }) => {
      const tables = new Map();
      for (const { table, by } of reads) {
        const key = JSON.stringify(table.name);
        if (!tables.has(key)) tables.set(key, { table: table.name, columns: table.columns, by: [] });
        tables.get(key).by.push(by);
      }
      const listed = Object.entries(fields).map(([path, kind]) => ({
        path, type: kind.replace(/[?[\]]/g, ""), nullable: kind.includes("?"), array: kind.includes("[]"), options: "{}",
      }));
      const mapping = { index: name, hash: hash(JSON.stringify([version, fields, root.columns, reads])), fields: listed, prefix: "" };
      return { mapping, root: root.name, columns: root.columns, reads: [...tables.values()] };
    }),
    async buildMany(number, roots) {
      const { root, build } = indexes[number];
      const waiting = [];
      let unfinished = roots.length;
      const outcomes = roots.map(async (values, document) => {
        try {
          const made = await build(root.row(values), new Reads(document, waiting));
          return made ? { tag: "built", val: new TextEncoder().encode(body(made)) } : { tag: "absent" };
        } catch (error) {
          return { tag: "failed", val: { class: error.kind ?? "build", reason: error.message ?? String(error) } };
        } finally {
          unfinished -= 1;
        }
      });
      while (unfinished > 0) {
        // Until the builds wait: none has asked for more, or ended, for a while. Too early costs a crossing, and nothing else.
        for (let quiet = 0, seen = -1; quiet < 30; quiet += 1) {
          const now = waiting.length * 1e6 + unfinished;
          if (now !== seen) [quiet, seen] = [0, now];
          await null;
        }
        if (waiting.length > 0) cross(waiting.splice(0));
      }
      return Promise.all(outcomes);
    },
  },
};
