//! `portcullis revoke`: one token, which is read and never named on the command line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use http::Method;
use portcullis_audit::{Audit, AuditSettings};
use portcullis_jose::{Clock, Secret, SystemClock};
use serde_json::{Value, json};

use super::failure::{Failure, print};
use super::revocations::{Connection, added, printable, read_token};
use super::{configured, load};
use crate::gateway::{client, providers};
use crate::serve::runtime;

#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    #[command(flatten)]
    connection: Connection,
    /// The file with the token, or - for standard input; never the token itself, which others could see there
    #[arg(value_name = "FILE")]
    token: PathBuf,
    /// Why, for the audit trail
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Revoke it at the provider too (RFC 7009), as this client of the configuration, which it must have been issued to
    #[arg(long, value_name = "NAME", requires = "config")]
    client: Option<String>,
    /// What kind of token it is; a refresh token means nothing to the gateway, and is revoked at the provider alone
    #[arg(long, value_enum, requires = "client")]
    hint: Option<Hint>,
    /// Leave the gateway's own list alone
    #[arg(long, requires = "client")]
    provider_only: bool,
}

/// RFC 7009 s2.1: what helps the provider to find the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Hint {
    #[value(name = "access_token")]
    Access,
    #[value(name = "refresh_token")]
    Refresh,
}

pub(super) fn run(args: &RevokeArgs) -> ExitCode {
    print(revoke(args), args.connection.json)
}

/// First what is in our hands: whatever the provider says, the gateway takes the token no more.
fn revoke(args: &RevokeArgs) -> Result<String, Failure> {
    let token = read_token(&args.token)?;
    let alone = args.provider_only || args.hint == Some(Hint::Refresh);
    let listed = match alone {
        true => None,
        false => {
            let body = json!({ "token": token.expose(), "reason": args.reason });
            let sent = args.connection.send(&Method::POST, "revocations", Some(body));
            Some(sent.map_err(|failure| match &args.client {
                Some(_) if !failure.is_faulty() => {
                    failure.note("the provider was not asked; --provider-only asks it alone")
                }
                _ => failure,
            })?)
        }
    };
    let Some((name, config)) = args.client.as_deref().zip(args.connection.config.as_deref()) else {
        let listed = listed.unwrap_or_default();
        return match args.connection.json {
            true => Ok(listed.to_string()),
            false => added(listed),
        };
    };
    let at_provider = at_provider(config, name, &token, args.hint).map_err(|failure| match &listed {
        Some(listed) => {
            let number = listed.get("id").map(Value::to_string).unwrap_or_default();
            failure.note(format!(
                "the gateway takes it no more all the same (revocation {number})"
            ))
        }
        None => failure,
    })?;
    if args.connection.json {
        let provider = json!({ "provider": at_provider, "client": name });
        return Ok(json!({ "gateway": listed, "provider": provider }).to_string());
    }
    let at_provider = format!("revoked at the provider {at_provider}, as client {name}");
    Ok(match listed {
        Some(listed) => format!("{}\n{at_provider}", added(listed)?),
        None => at_provider,
    })
}

/// Revokes at the provider, and gives its name.
fn at_provider(config: &Path, name: &str, token: &Secret, hint: Option<Hint>) -> Result<String, Failure> {
    let failed = |why: String| Failure::failed(why);
    let settings = load(config)?;
    configured(&settings, name)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let audit = Audit::new(AuditSettings::in_memory(), Arc::clone(&clock));
    let built = providers(&settings, &audit, &clock).map_err(|error| failed(error.to_string()))?;
    let client = client(&settings, &built, name, &audit).map_err(|error| failed(error.to_string()))?;
    let provider = client.provider().name().to_owned();
    let hint = match hint {
        Some(Hint::Refresh) => "refresh_token",
        Some(Hint::Access) | None => "access_token",
    };
    runtime(Some(1)).map_err(failed)?.block_on(async {
        let told = |error: portcullis_oidc::ProviderError| {
            let (code, why) = (error.code(), printable(&error.to_string()));
            failed(format!("not revoked at the provider {provider}: {why}")).code(code)
        };
        if !client.revoke(token, hint).await.map_err(told)? {
            return Err(failed(format!(
                "not revoked at the provider {provider}: its discovery document names no revocation_endpoint (RFC 7009); \
                 what it issued lives until it expires, except at this gateway"
            )));
        }
        Ok(provider)
    })
}
