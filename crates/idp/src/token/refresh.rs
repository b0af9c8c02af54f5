use std::collections::BTreeSet;

use serde_json::Value;

use super::issue::{Login, token_answer};
use super::{Binding, audience, parse_scopes};
use crate::config::Client;
use crate::form::Params;
use crate::oauth_error::OAuthError;
use crate::provider::Provider;
use crate::state::{Grant, Rotation};

/// The refresh grant (RFC 6749 s6), with rotation and reuse detection (RFC 9700 s4.14.2).
pub(super) fn exchange(
    provider: &Provider,
    client: &Client,
    form: &Params,
    binding: &Binding,
) -> Result<Value, OAuthError> {
    let token = form
        .get("refresh_token")
        .ok_or_else(|| OAuthError::invalid_request("refresh_token is missing"))?;
    let (refuse, keep, grace) = {
        let behaviour = provider.dev.behaviour();
        (
            behaviour.refresh_invalid_grant,
            behaviour.keep_refresh_token,
            behaviour.reuse_grace,
        )
    };
    if refuse {
        return Err(OAuthError::invalid_grant("refused on request"));
    }
    let resource = super::resource(form)?;
    let now = provider.now();
    let mut state = provider.state();
    // A request that asks for too much must not use the token up.
    if let Some((_, grant, _)) = state
        .live_refresh_token(token, now)
        .filter(|found| found.1.client_id == client.client_id)
    {
        let scopes = narrowed(grant, form)?;
        audience::target(
            &provider.registry,
            &provider.issuer,
            client,
            &scopes,
            &grant.resources,
            resource,
        )?;
    }
    let (id, grant) = if keep {
        let found = state
            .live_refresh_token(token, now)
            .filter(|found| found.1.client_id == client.client_id);
        let found = found.map(|(id, grant, _)| (id, grant.clone()));
        let found =
            found.ok_or_else(|| OAuthError::invalid_grant("the refresh token is unknown, expired or revoked"))?;
        state.counts.refreshes += 1;
        found
    } else {
        match state.rotate(token, &client.client_id, grace, now) {
            Rotation::Accepted(id, grant) => (id, *grant),
            Rotation::Reused => {
                return Err(OAuthError::invalid_grant(
                    "the refresh token was used before; its whole family is revoked",
                ));
            }
            Rotation::Refused => {
                return Err(OAuthError::invalid_grant(
                    "the refresh token is unknown, expired, revoked or another client's",
                ));
            }
        }
    };
    drop(state);
    let scopes = narrowed(&grant, form)?;
    token_answer(
        provider,
        client,
        &Login {
            id,
            grant: &grant,
            scopes: &scopes,
            binding,
            first: false,
        },
        resource,
    )
}

/// RFC 6749 s6: the scope may be less than what was granted, never more.
fn narrowed(grant: &Grant, form: &Params) -> Result<BTreeSet<String>, OAuthError> {
    let Some(asked) = form.get("scope").map(parse_scopes) else {
        return Ok(grant.scopes.clone());
    };
    if asked.is_subset(&grant.scopes) {
        Ok(asked)
    } else {
        Err(OAuthError::invalid_scope("scope has more than was granted"))
    }
}
