use super::{Entry, entry};

pub(super) const ENTRIES: &[Entry] = &[
    entry(
        ("admin.disabled", "admin_disabled"),
        403,
        "The admin API is switched off",
        "The configuration has no `[admin]` table with a `token`, so nobody can prove to be an administrator, and nobody is taken for one.",
        "Make a token with `openssl rand -hex 32 > admin.token && chmod 600 admin.token`, write `[admin]` with `token = { file = \"admin.token\" }` into the configuration, and start again.",
    ),
    entry(
        ("admin.unauthorized", "admin_unauthorized"),
        401,
        "The admin token is missing or wrong",
        "The call of the admin API has no `Authorization: Bearer` header, more than one, or another token than that of `[admin]`.",
        "Send the token of `[admin]`, as it stands in its file: `curl -H \"Authorization: Bearer $(cat admin.token)\" ...`, or use `portcullis revocations`, which reads it itself. If you did not make this call, somebody on this machine tries the admin API.",
    ),
    entry(
        ("admin.browser", "admin_browser"),
        403,
        "A page in a browser called the admin API",
        "The call carries `Origin` or a foreign `Sec-Fetch-Site`, which only browsers send; no page has business with the admin API, and a foreign one could abuse what the browser can reach.",
        "Call the admin API with curl, a program or `portcullis revocations`. If you did not make this call, look at `found`: a page of that origin tried to reach the admin address through a browser on this machine.",
    ),
    entry(
        ("admin.media_type", "admin_media_type"),
        415,
        "The body is not declared as JSON",
        "The admin API reads a body only with `Content-Type: application/json`; a form of another site cannot send that.",
        "Send the header `Content-Type: application/json`.",
    ),
    entry(
        ("admin.bad_request", "admin_bad_request"),
        400,
        "The admin API does not understand the request",
        "The body is not the JSON object that is asked for: it is no JSON, has a member that is not known, lacks one, or contradicts itself.",
        "Compare the body with the examples in the manual's page on operations; the answer's `detail` says what is wrong.",
    ),
    entry(
        ("admin.unknown_issuer", "admin_unknown_issuer"),
        400,
        "No API here takes tokens of this issuer",
        "The issuer of the revocation is not, character by character, the `issuer` of a provider in the configuration, so it would never match a token.",
        "Copy the issuer from the configuration or from the `iss` claim of a token that is accepted; mind the slash at the end.",
    ),
    entry(
        ("admin.not_found", "admin_not_found"),
        404,
        "There is no such revocation or session",
        "No revocation with this number is in force, or the person has no session of this name: it was taken back or ended already, or it is over by itself.",
        "List what is in force with `portcullis revocations list`, or the person's sessions with `portcullis sessions list`, and use the `id` that stands there.",
    ),
];
