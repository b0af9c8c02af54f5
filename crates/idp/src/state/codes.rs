use portcullis_jose::{UnixTime, random_token};

use super::{Grant, GrantId, State, digest};

/// Seconds that a code is valid. RFC 6749 s4.1.2: ten minutes at most; RFC 9700 asks for short.
const CODE_LIFETIME: i64 = 60;

/// An authorization code, and what it is bound to.
#[derive(Debug, Clone)]
pub(crate) struct Code {
    pub(crate) grant: Grant,
    pub(crate) redirect_uri: String,
    pub(crate) code_challenge: Option<String>,
    /// The thumbprint of the key that must be proven when it is redeemed.
    pub(crate) dpop_jkt: Option<String>,
    expires: UnixTime,
    /// What was opened with it. A code that comes back closes it.
    redeemed: Option<GrantId>,
}

/// What a presented code turned out to be.
#[derive(Debug)]
pub(crate) enum Redemption {
    /// Good for the grant of this id, if what it is bound to fits.
    Fresh(GrantId, Box<Code>),
    Used,
    Unknown,
}

impl State {
    pub(crate) fn issue_code(
        &mut self,
        grant: Grant,
        redirect_uri: &str,
        code_challenge: Option<&str>,
        dpop_jkt: Option<&str>,
        now: UnixTime,
    ) -> String {
        let code = random_token(32);
        let kept = Code {
            grant,
            redirect_uri: redirect_uri.to_owned(),
            code_challenge: code_challenge.map(str::to_owned),
            dpop_jkt: dpop_jkt.map(str::to_owned),
            expires: now.plus(CODE_LIFETIME),
            redeemed: None,
        };
        self.codes.insert(digest(&code), kept);
        self.counts.codes += 1;
        code
    }

    /// Takes a code for this client. It is used up, whatever the later checks say.
    pub(crate) fn redeem_code(&mut self, code: &str, client_id: &str, now: UnixTime) -> Redemption {
        let key = digest(code);
        // RFC 6749 s4.1.3: it was issued to the client that asks. Another client cannot even use it up.
        let Some(found) = self
            .codes
            .get(&key)
            .filter(|found| found.grant.client_id == client_id)
            .cloned()
        else {
            return Redemption::Unknown;
        };
        // RFC 6749 s4.1.2: used more than once, so it is refused and what was issued from it is revoked.
        if let Some(grant) = found.redeemed {
            self.revoke_grant(grant);
            return Redemption::Used;
        }
        if now >= found.expires {
            return Redemption::Unknown;
        }
        let grant = self.open_grant(found.grant.clone());
        if let Some(kept) = self.codes.get_mut(&key) {
            kept.redeemed = Some(grant);
        }
        Redemption::Fresh(grant, Box::new(found))
    }
}
