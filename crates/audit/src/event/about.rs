use super::Event;
use crate::refused::Refused;
use crate::text::{tidy, tidy_option, tidy_path};

impl Event {
    /// The stable name: the member `event` of the record.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::Stopping { .. } => "stopping",
            Self::LoginStarted { .. } => "login_started",
            Self::LoginSucceeded { .. } => "login_succeeded",
            Self::LoginFailed { .. } => "login_failed",
            Self::TokenStored { .. } => "token_stored",
            Self::TokenRefreshed { .. } => "token_refreshed",
            Self::RefreshFailed { .. } => "refresh_failed",
            Self::LoggedOut { .. } => "logged_out",
            Self::LogoutRefused { .. } => "logout_refused",
            Self::SessionExpired { .. } => "session_expired",
            Self::CsrfBlocked { .. } => "csrf_blocked",
            Self::CallForwarded { .. } => "call_forwarded",
            Self::CallRefused { .. } => "call_refused",
            Self::UpstreamFailed { .. } => "upstream_failed",
            Self::KeysRefreshed { .. } => "keys_refreshed",
            Self::KeysUnavailable { .. } => "keys_unavailable",
            Self::ProviderUnavailable { .. } => "provider_unavailable",
            Self::ProviderRecovered { .. } => "provider_recovered",
            Self::ClientCredentialRefused { .. } => "client_credential_refused",
            Self::ClientCredentialExpiring { .. } => "client_credential_expiring",
            Self::ClientCredentialUnreadable { .. } => "client_credential_unreadable",
            Self::Revoked { .. } => "revoked",
            Self::RevocationRemoved { .. } => "revocation_removed",
            Self::RevocationsStale { .. } => "revocations_stale",
            Self::RevocationsLoaded { .. } => "revocations_loaded",
            Self::StoreUnavailable { .. } => "store_unavailable",
            Self::StoreRecovered { .. } => "store_recovered",
            Self::SealingKeysLoaded { .. } => "sealing_keys_loaded",
            Self::SealingKeysRefused { .. } => "sealing_keys_refused",
            Self::ServerCertificateLoaded { .. } => "server_certificate_loaded",
            Self::ServerCertificateRefused { .. } => "server_certificate_refused",
            Self::EventsDropped { .. } => "events_dropped",
        }
    }

    /// Why something was refused, where this event is about that.
    #[must_use]
    pub const fn refused(&self) -> Option<&Refused> {
        match self {
            Self::LoginFailed { refused, .. }
            | Self::RefreshFailed { refused, .. }
            | Self::LogoutRefused { refused, .. }
            | Self::CsrfBlocked { refused, .. }
            | Self::CallRefused { refused, .. }
            | Self::UpstreamFailed { refused, .. }
            | Self::ProviderUnavailable { refused, .. }
            | Self::SealingKeysRefused { refused }
            | Self::ServerCertificateRefused { refused }
            | Self::StoreUnavailable { refused, .. } => Some(refused),
            _ => None,
        }
    }

    /// Whether the event only says that all went well, many times a second; such lines are the first to be dropped
    /// when the log's reader is stuck. Everything else is a security event.
    #[must_use]
    pub const fn is_routine(&self) -> bool {
        matches!(
            self,
            Self::CallForwarded { .. }
                | Self::TokenRefreshed { .. }
                | Self::KeysRefreshed { .. }
                | Self::LoginStarted { .. }
        )
    }

    /// Makes every text in the event fit for a log. No `..` here: a new member has to be thought of.
    pub(crate) fn tidy(&mut self) {
        match self {
            Self::Started {
                component,
                version,
                dangers,
            } => {
                tidy(component);
                tidy(version);
                dangers.iter_mut().for_each(tidy);
            }
            Self::Stopping { component, why } => {
                tidy(component);
                tidy(why);
            }
            Self::LoginStarted { frontend, provider } => {
                tidy(frontend);
                tidy(provider);
            }
            Self::LoginSucceeded {
                frontend,
                subject,
                client_id,
            } => {
                tidy(frontend);
                tidy(subject);
                tidy_option(client_id);
            }
            Self::ClientCredentialRefused {
                client,
                credential,
                next,
            } => {
                tidy(client);
                tidy(credential);
                tidy_option(next);
            }
            Self::ClientCredentialExpiring {
                client,
                credential,
                days: _,
                expires: _,
            } => {
                tidy(client);
                tidy(credential);
            }
            Self::ClientCredentialUnreadable {
                client,
                credential,
                reason,
            } => {
                tidy(client);
                tidy(credential);
                tidy(reason);
            }
            Self::LoginFailed { frontend, refused } | Self::LogoutRefused { frontend, refused } => {
                tidy(frontend);
                refused.tidy();
            }
            Self::TokenStored {
                frontend,
                subject,
                expires_in: _,
                refreshable: _,
            }
            | Self::TokenRefreshed {
                frontend,
                subject,
                expires_in: _,
            }
            | Self::LoggedOut {
                frontend,
                subject,
                how: _,
            }
            | Self::SessionExpired {
                frontend,
                subject,
                how: _,
            } => {
                tidy(frontend);
                tidy(subject);
            }
            Self::RefreshFailed {
                frontend,
                subject,
                session_ended: _,
                refused,
            } => {
                tidy(frontend);
                tidy(subject);
                refused.tidy();
            }
            Self::CsrfBlocked {
                route,
                method,
                path,
                origin,
                status: _,
                refused,
            } => {
                tidy_option(route);
                tidy(method);
                tidy_path(path);
                tidy_option(origin);
                refused.tidy();
            }
            Self::CallForwarded {
                route,
                method,
                path,
                credential: _,
                subject,
                client,
                policy,
                status: _,
                duration_ms: _,
            } => {
                tidy(route);
                tidy(method);
                tidy_path(path);
                tidy_option(subject);
                tidy_option(client);
                tidy_option(policy);
            }
            Self::CallRefused {
                route,
                method,
                path,
                credential: _,
                subject,
                client,
                status: _,
                checks: _,
                refused,
            } => {
                tidy_option(route);
                tidy(method);
                tidy_path(path);
                tidy_option(subject);
                tidy_option(client);
                refused.tidy();
            }
            Self::UpstreamFailed { route, refused } => {
                tidy(route);
                refused.tidy();
            }
            Self::KeysRefreshed {
                provider,
                keys: _,
                ignored,
            } => {
                tidy(provider);
                ignored.iter_mut().for_each(tidy);
            }
            Self::KeysUnavailable {
                provider,
                age_seconds: _,
                reason,
            } => {
                tidy(provider);
                tidy(reason);
            }
            Self::ProviderUnavailable {
                provider,
                operation: _,
                refused,
            } => {
                tidy(provider);
                refused.tidy();
            }
            Self::ProviderRecovered { provider } => tidy(provider),
            Self::StoreUnavailable {
                store: _,
                operation: _,
                refused,
            }
            | Self::SealingKeysRefused { refused }
            | Self::ServerCertificateRefused { refused } => refused.tidy(),
            Self::ServerCertificateLoaded { file } => tidy(file),
            Self::SealingKeysLoaded { keys } => keys.iter_mut().for_each(tidy),
            Self::Revoked {
                kind: _,
                id: _,
                until: _,
                reason,
                how: _,
            } => tidy(reason),
            Self::RevocationsStale {
                realm,
                age_seconds: _,
                refusing: _,
            } => tidy(realm),
            Self::RevocationRemoved { kind: _, id: _ }
            | Self::RevocationsLoaded { entries: _ }
            | Self::StoreRecovered { store: _ }
            | Self::EventsDropped {
                routine: _,
                security: _,
            } => {}
        }
    }
}
