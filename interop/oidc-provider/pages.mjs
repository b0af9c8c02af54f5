// The few pages of this provider: plain forms that a test can post without a browser.

/** @param {unknown} text */
const escape = (text) => String(text ?? "").replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

/** @param {string} title @param {string} body */
const page = (title, body) => `<!doctype html><html lang="en"><meta charset="utf-8"><title>${title}</title><h1>${title}</h1>${body}</html>`;

/** @param {string} uid @param {string} [problem] */
export function loginForm(uid, problem) {
  return page("Sign in", `${problem ? `<p role="alert">${escape(problem)}</p>` : ""}
<form method="post" action="/interaction/${escape(uid)}">
<label>Name <input name="login" autocomplete="username" required></label>
<button type="submit">Sign in</button></form>`);
}

/**
 * @param {import("koa").Context} ctx
 * @param {string} form  The provider's own form, with its `xsrf` field and without a button.
 */
export async function logoutForm(ctx, form) {
  ctx.body = page("Sign out", `${form}<button type="submit" form="op.logoutForm" name="logout" value="yes">Sign out</button>
<button type="submit" form="op.logoutForm">Stay signed in at the provider</button>`);
}

/** Where no `post_logout_redirect_uri` was given. @param {import("koa").Context} ctx */
export async function loggedOut(ctx) {
  ctx.body = page("Signed out", "<p>You are signed out.</p>");
}

/** @param {import("koa").Context} ctx @param {{error: string, error_description?: string}} out */
export async function errorPage(ctx, out) {
  ctx.type = "html";
  ctx.body = page("Error", `<p><code>${escape(out.error)}</code>: ${escape(out.error_description)}</p>`);
}
