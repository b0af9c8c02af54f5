use super::{Entry, entry};

pub(super) const ENTRIES: &[Entry] = &[
    entry(
        ("route.not_found", "route_not_found"),
        404,
        "No route matches the path",
        "No `path` in the configuration covers the path of the request, and what nobody configured is not forwarded.",
        "Compare the path with the `path` of each `api` and `frontend` table. A prefix matches whole segments: `/api/orders` covers `/api/orders/7` and not `/api/orders2`, in upper or lower case.",
    ),
    entry(
        ("route.method_not_allowed", "method_not_allowed"),
        405,
        "The route does not take this method",
        "The route names the methods that it takes, each with a policy, and has neither one for this method nor a `default`.",
        "Add the method, or `default`, to `policy` of the `api` table in the configuration. The `Allow` header of the answer lists what the route takes now.",
    ),
    entry(
        ("route.no_policy", "no_policy"),
        403,
        "No policy is about this path",
        "The path belongs to an API, and neither the `policy` of the API nor one of its `routes` covers it. What nobody spoke of is refused.",
        "Give the path a policy: a route (a path with braces is compared to its end, `/api/orders/{id}` does not cover `/api/orders/7/lines`), or `policy` of the `api` table for all that the routes leave. `policy = \"authenticated\"` lets every valid token pass.",
    ),
    entry(
        ("path.not_canonical", "path_not_canonical"),
        400,
        "The path could be read in more than one way",
        "The path has dot segments, an encoded slash or backslash, NUL or broken percent-encoding; gateway and upstream could take it for different paths, and a check on one would not hold for the other.",
        "Send the path in its plain form. If identifiers may hold slashes, put them into the query or encode them in another way, such as base64url.",
    ),
    entry(
        ("request.bad_head", "bad_head"),
        400,
        "The request is not acceptable as HTTP",
        "The head has what request smuggling is made of (two Content-Length headers, a Transfer-Encoding other than chunked, control characters), it is over the limits of 100 headers and 32 KiB, or the body broke off or came too slowly.",
        "Find out who builds the request: a proxy in front that merges or repeats headers is the usual reason. Heads that are too large are mostly cookies; remove those that the site no longer needs. A body that breaks off is mostly a client that gave up or lost its network.",
    ),
    entry(
        ("request.body_too_large", "body_too_large"),
        413,
        "The body is larger than the endpoint reads",
        "An endpoint of Portcullis itself reads a small body only, `expected` says how much; this one was not looked at. Bodies for an API are not limited.",
        "Send less. A logout token or a revocation takes a few hundred bytes; what is larger was sent to the wrong address.",
    ),
    entry(
        ("request.misdirected", "misdirected"),
        421,
        "The request is for another host",
        "The Host header is not a name that this listener serves; a page that rebinds its own name to this address would look like this.",
        "Call it by the host of `server.public_url` (for the admin address: `localhost`, an IP address or the configured name). If a proxy in front changes the Host header, make it pass the original one, or set `public_url` to what users type.",
    ),
    entry(
        ("cors.origin_denied", "origin_denied"),
        403,
        "Another origin asked to read this API",
        "A page of another origin made a cross-origin request, and that origin is not on the route's list.",
        "Serve the page through a `frontend` of the gateway, on the same origin as the API: then no CORS is needed and the session works. A program that is not a web page is not bound by CORS and can send a bearer token.",
    ),
];
