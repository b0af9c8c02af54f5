//! `revocations` of `[api.NAME]`.

use toml::de::{DeTable, DeValue};

use crate::config::kinds::{duration, word};
use crate::config::reader::Reader;
use crate::config::schema::API_REVOCATIONS;
use crate::config::settings::{RevocationSettings, WhenStale};

pub(super) fn revocations(api: &Reader<'_>) -> Option<RevocationSettings> {
    let none = DeTable::new();
    let given = api.table("revocations", &API_REVOCATIONS);
    if given.is_none() && api.has("revocations") {
        return None;
    }
    // Without the table, the defaults of its keys hold.
    let reader = given.unwrap_or_else(|| Reader::new(api.cx, &API_REVOCATIONS, String::new(), &none, api.place()));
    let max_age = reader.get("max_age", duration);
    let when_stale = reader.get("when_stale", word);
    let require_jti = reader.get("require_jti", |cx, item| match item.value {
        DeValue::Boolean(true) => Some(()),
        _ => {
            cx.push(item.wrong_type());
            None
        }
    });
    if require_jti.is_none() && reader.has("require_jti") {
        return None;
    }
    Some(RevocationSettings {
        max_age: max_age?.value,
        when_stale: match when_stale?.value {
            "serve" => WhenStale::Serve,
            _ => WhenStale::Refuse,
        },
        require_jti: require_jti.is_some(),
    })
}
