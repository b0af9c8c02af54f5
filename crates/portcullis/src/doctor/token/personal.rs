//! Claims about a person, which a report that goes to a colleague or into a ticket need not hold.

use serde_json::Value;

pub(crate) const MASK: &str = "***";

/// Claims that say who somebody is: OpenID Connect Core 1.0 s5.1, and what providers add.
const PERSONAL: [&str; 38] = [
    "sub",
    "name",
    "given_name",
    "family_name",
    "middle_name",
    "nickname",
    "preferred_username",
    "username",
    "user_name",
    "cognito:username",
    "unique_name",
    "upn",
    "email",
    "emails",
    "verified_primary_email",
    "phone",
    "phone_number",
    "mobile",
    "address",
    "birthdate",
    "gender",
    "picture",
    "profile",
    "website",
    "ipaddr",
    "in_corp",
    "oid",
    "puid",
    "onprem_sid",
    "altsecid",
    "login_hint",
    "sid",
    "family",
    "ctry",
    "nameid",
    "user_id",
    "uid",
    "act",
];

/// Whether a claim says who somebody is.
pub(crate) fn is_personal(name: &str) -> bool {
    // Names of one's own are URLs as a rule: `https://example.com/email`.
    let last = name.rsplit(['/', '#']).next().unwrap_or(name);
    PERSONAL.iter().any(|personal| personal.eq_ignore_ascii_case(last))
}

/// The claims with a mask in the place of what is personal.
pub(crate) fn masked(claims: &serde_json::Map<String, Value>) -> serde_json::Map<String, Value> {
    claims
        .iter()
        .map(|(name, value)| match is_personal(name) {
            true => (name.clone(), Value::from(MASK)),
            false => (name.clone(), value.clone()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_somebody_is_is_masked_and_what_decides_is_not() {
        let claims = json!({
            "iss": "https://login.example.com", "aud": "api://orders", "scope": "orders.read", "sub": "alice",
            "email": "alice@example.com", "https://example.com/Name": "Alice", "address": {"street": "x"}, "exp": 1,
        });
        let masked = masked(claims.as_object().unwrap());
        for name in ["sub", "email", "https://example.com/Name", "address"] {
            assert_eq!(masked[name], MASK, "{name}");
        }
        for name in ["iss", "aud", "scope", "exp"] {
            assert_eq!(masked[name], claims[name], "{name}");
        }
    }
}
