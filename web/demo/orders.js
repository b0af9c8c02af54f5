// The shop: list, create, report. What is refused is shown as what it means.

import { fetch } from "./portcullis.js";
import { byId, el, note, run } from "./dom.js";
import { nameOf } from "./session.js";

const ORDERS = "/api/orders";
const REPORT = "/api/orders/report";

export function startOrders() {
  const [load, report, form] = [byId("load-orders"), byId("admin-report"), /** @type {HTMLFormElement} */ (byId("create-order"))];
  load.addEventListener("click", () => { run(load, byId("orders"), loadOrders); });
  report.addEventListener("click", () => { run(report, byId("report"), loadReport); });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run(byId("create-submit"), byId("create-result"), () => createOrder(new FormData(form)));
  });
}

async function loadOrders() {
  const response = await fetch(ORDERS);
  if (!response.ok) return refusal(response, "see the orders");
  const orders = listOf(await response.json());
  if (orders.length === 0) return note("info", "No orders yet", el("p", {}, "The call went through; the list is empty."));
  return table(`${orders.length} ${orders.length === 1 ? "order" : "orders"}`, orders);
}

async function loadReport() {
  const response = await fetch(REPORT);
  if (!response.ok) return refusal(response, "see the report");
  const report = await response.json();
  const rows = Object.entries(report).map(([key, value]) => [el("dt", {}, title(key)), el("dd", {}, plain(value))]);
  return note("good", "Admin report", el("dl", { class: "facts" }, ...rows.flat()));
}

/** @param {FormData} form */
async function createOrder(form) {
  const order = { item: String(form.get("item")), quantity: Number(form.get("quantity")) };
  const response = await fetch(ORDERS, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(order),
  });
  if (!response.ok) return refusal(response, "create an order");
  const created = await response.json().catch(() => order);
  const number = created.id === undefined ? "" : ` ${created.id}`;
  return note("good", `Order${number} created`, el("p", {}, `${order.quantity} x ${order.item}. Load the orders to see it in the list.`));
}

/** @param {Response} response @param {string} wish */
async function refusal(response, wish) {
  const problem = await response.json().catch(() => ({}));
  // RFC 6750 s3: the challenge names what is missing.
  const missing = /insufficient_scope.*\bscope="([^"]+)"/.exec(response.headers.get("WWW-Authenticate") ?? "")?.[1];
  const titles = { 401: "Sign in first", 403: "Not allowed" };
  const heading = titles[response.status] ?? problem.title ?? "That did not work";
  const fallback = response.status === 403 ? `Your account is not allowed to ${wish}.` : `The gateway answered ${response.status}.`;
  const detail = problem.detail ?? (response.status === 401 ? `You have to be signed in to ${wish}.` : fallback);
  return note("bad", heading,
    el("p", {}, ...(missing ? ["Your account lacks the permission ", el("strong", {}, missing), "."] : [detail])),
    el("p", { class: "quiet" },
      el("span", { class: "tag bad", "data-testid": "status" }, String(response.status)), " ",
      problem.code ? el("span", { class: "tag" }, problem.code) : undefined,
      problem.request_id ? ` Request ${problem.request_id}` : undefined));
}

/** @param {unknown} body @returns {Record<string, unknown>[]} */
function listOf(body) {
  return Array.isArray(body) ? body : (body?.orders ?? []);
}

/** @param {string} caption @param {Record<string, unknown>[]} rows */
function table(caption, rows) {
  const columns = Object.keys(rows[0]);
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el("table", {},
      el("caption", {}, caption),
      el("thead", {}, el("tr", {}, ...columns.map((column) => el("th", { scope: "col", class: kind(rows[0][column]) }, title(column))))),
      el("tbody", {}, ...rows.map((row) => el("tr", {}, ...columns.map((column) => el("td", { class: kind(row[column]) }, cell(column, row[column]))))))));
}

/** @param {unknown} value */
function kind(value) {
  return typeof value === "number" ? "number" : undefined;
}

/** @param {string} key */
function title(key) {
  const words = key.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** @param {string} column @param {unknown} value */
function cell(column, value) {
  return column === "ordered_by" ? nameOf(String(value)) : plain(value);
}

/** @param {unknown} value */
function plain(value) {
  return typeof value === "object" && value !== null ? JSON.stringify(value) : String(value ?? "");
}
