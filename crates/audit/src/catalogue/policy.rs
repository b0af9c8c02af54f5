use super::{Entry, entry};

pub(super) const ENTRIES: &[Entry] = &[
    entry(
        ("policy.scope_insufficient", "scope_insufficient"),
        403,
        "The token lacks a scope",
        "The policy of this route asks for a scope that is not in the token's `scope` or `scp`.",
        "Let the client ask for the scope (`scopes` of the frontend, or the token request), and let the provider grant it to this client and user: consent, API permission, or client scope. A token that was issued before the grant does not change; get a new one.",
    ),
    entry(
        ("policy.role_missing", "role_missing"),
        403,
        "The caller lacks a role",
        "The policy of this route asks for a role, and the token's claim for it (`roles` or `realm_access.roles`, `groups`, or those that the policy names) does not list it.",
        "Assign the role to the user, the group or the service at the provider, and make sure that it is written into the access token (not only into the ID token). If the roles are in another claim, name it in the policy, for example `role = { name = \"admin\", in = \"resource_access.orders.roles\" }`.",
    ),
    entry(
        ("policy.claim_mismatch", "claim_mismatch"),
        403,
        "A claim does not have the value that the policy asks for",
        "The policy of this route compares a claim, and the token has another value or none.",
        "Compare `expected` and `found` of the event. Correct the user's or the service's data at the provider, or the policy in the configuration; upper and lower case count, and a pattern has to match the whole value. For `email_domain` the provider also has to say `email_verified` as `true`, in the access token.",
    ),
    entry(
        ("policy.client_not_allowed", "client_not_allowed"),
        403,
        "The client is not on the list",
        "The policy of this route names the clients that may call it, and the token was issued to another (`client_id` or `azp`).",
        "If this client is to have access, add its id to `client` of the policy in the configuration; otherwise the refusal is right, and the client has to use its own API.",
    ),
    entry(
        ("policy.kind_mismatch", "kind_mismatch"),
        403,
        "A person called where only services may, or the reverse",
        "The policy of this route is for tokens of one kind: those of a signed-in person, or those that a service got for itself with client credentials.",
        "Use the grant that fits: Authorization Code for a person, Client Credentials for a service. If both are meant to call the route, allow both with `any` in the policy.",
    ),
    entry(
        ("policy.acr_insufficient", "acr_insufficient"),
        401,
        "The person has to authenticate in another way",
        "The policy of this route asks for a level of authentication (`acr`), and the token shows another or none.",
        "Send the person through the login again with the `acr_values` that the challenge names (RFC 9470). If the token never has `acr`, make the provider write it into access tokens.",
    ),
    entry(
        ("policy.max_age_exceeded", "authentication_too_old"),
        401,
        "The person has to authenticate again",
        "The policy of this route asks for a recent authentication (`max_age`), and the token's `auth_time` is longer ago, in the future, or not there.",
        "Send the person through the login again with the `max_age` that the challenge names (RFC 9470); a refresh does not change `auth_time`. If the token never has `auth_time`, make the provider write it into access tokens.",
    ),
    entry(
        ("policy.denied", "policy_denied"),
        403,
        "The policy does not allow this",
        "A policy that combines several conditions, or a function of your own, said no, and no single missing scope or role explains it.",
        "Read the policy that the event names: each alternative of an `any` failed, or a `not` matched. Write the alternatives as named policies of their own to see in the event which of them fails.",
    ),
];
