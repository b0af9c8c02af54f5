//! Sessions without a store: the browser carries them, sealed and cut into cookies.
//!
//! What is in memory ([`Bff`]'s store, which then is one of this process alone) is a copy that everything else works
//! with: it makes a refresh happen once in this process, and knows which sessions were ended here. A request's cookies
//! bring a session in, and an answer takes it out again where it has changed.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method};
use portcullis_audit::Refused;
use portcullis_jose::{Secret, UnixTime, base64url_decode, base64url_encode, sha256};
use portcullis_store::{SessionKey, SessionRecord, StoreError};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::copies::Opened;
use crate::recent::Recent;
use crate::session::{SessionData, Times, store_refused};
use crate::{Bff, FrontendSettings, Session, cookies};

/// What browsers take for one cookie is 4096 bytes, name and attributes included.
const CHUNK: usize = 3_600;
/// Of a request's head, 32 KiB are read in all.
const MAX_CHUNKS: usize = 5;
/// What sealed sessions are bound to.
const AAD: &[u8] = b"session";
/// Bytes of cookies whose content is kept open.
const MAX_OPEN: usize = 128 * 1024 * 1024;
/// For so long after they were last seen, in seconds.
const UNUSED: i64 = 30;

/// What a request's cookies say.
pub(crate) struct Presented {
    /// What names the session.
    pub(crate) id: Secret,
    pub(crate) carried: Option<Arc<Carried>>,
}

/// A session as the browser brought it.
#[derive(Debug)]
pub(crate) struct Carried {
    id: Secret,
    times: Times,
    data: SessionData,
    needs_reseal: bool,
}

/// What browsers brought lately, by the hash of their cookies: what was found authentic once is so again.
#[derive(Debug)]
pub(crate) struct CarriedLately(Recent<[u8; 32], Carried>);

/// How a session was when the browser brought it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Brought {
    generation: u64,
    idle_expires: UnixTime,
    needs_reseal: bool,
}

/// In the clear, for sealing alone; the session's data stand behind it.
#[derive(Serialize, Deserialize)]
struct Head {
    id: String,
    created: UnixTime,
    idle_expires: UnixTime,
    expires: UnixTime,
}

impl Default for CarriedLately {
    fn default() -> CarriedLately {
        CarriedLately(Recent::new(MAX_OPEN, UNUSED))
    }
}

impl CarriedLately {
    /// Keys are gone.
    pub(crate) fn forget_all(&self) {
        self.0.clear();
    }
}

impl FrontendSettings {
    /// The session's cookies. One without a store has several, and its value says how many.
    pub(crate) fn set_session_cookies(&self, value: &str) -> Vec<HeaderValue> {
        let name = self.session_cookie();
        if !self.in_cookies {
            return self
                .set_cookie(&name, value, None, self.same_site)
                .into_iter()
                .collect();
        }
        let chunks: Vec<&str> = chunks(value).collect();
        let count = chunks.len();
        let named = chunks.into_iter().enumerate().map(|(number, chunk)| match number {
            0 => (name.clone(), format!("{count}.{chunk}")),
            _ => (format!("{name}.{number}"), chunk.to_owned()),
        });
        // What a larger session left behind would come with every request.
        let others =
            (count..MAX_CHUNKS).map(|number| self.set_cookie(&format!("{name}.{number}"), "", Some(0), self.same_site));
        named
            .map(|(name, value)| self.set_cookie(&name, &value, None, self.same_site))
            .chain(others)
            .flatten()
            .collect()
    }

    /// Takes the session's cookies away.
    pub(crate) fn clear_session_cookies(&self) -> Vec<HeaderValue> {
        let name = self.session_cookie();
        let others = (1..MAX_CHUNKS)
            .filter(|_| self.in_cookies)
            .map(|number| format!("{name}.{number}"));
        std::iter::once(name.clone())
            .chain(others)
            .filter_map(|name| self.set_cookie(&name, "", Some(0), self.same_site))
            .collect()
    }
}

impl Bff {
    /// What a request's cookies say; nothing where there are none.
    ///
    /// # Errors
    /// `session.invalid` where they cannot be read.
    pub(crate) fn presented(&self, headers: &HeaderMap) -> Result<Option<Presented>, Refused> {
        let settings = &self.0.settings;
        let name = self.0.session_cookie.as_str();
        let Some(value) = cookies::single(headers, name) else {
            return Ok(None);
        };
        if !settings.in_cookies {
            let id = Secret::new(value);
            return Ok(Some(Presented { id, carried: None }));
        }
        let carried = joined(headers, name, value).and_then(|value| self.unsealed_lately(&value));
        let carried = carried.ok_or_else(|| Refused::new("session.invalid"))?;
        Ok(Some(Presented {
            id: carried.id.clone(),
            carried: Some(carried),
        }))
    }

    fn unsealed_lately(&self, value: &str) -> Option<Arc<Carried>> {
        let (lately, now) = (&self.0.carried.0, self.0.clock.now());
        let hash = sha256(value.as_bytes());
        let era = lately.era(&hash);
        if let Some(carried) = lately.get(&hash, now) {
            return Some(carried);
        }
        let carried = Arc::new(self.unsealed(value)?);
        lately.put(hash, Arc::clone(&carried), value.len(), era, now);
        Some(carried)
    }

    /// The session that a browser brought: what is here, or what it brought where that is newer.
    pub(crate) async fn brought(
        &self,
        key: SessionKey,
        carried: &Carried,
        copy: Option<&Opened>,
    ) -> Result<(Session, Brought), Refused> {
        let now = self.0.clock.now();
        let brought = Brought {
            generation: carried.data.generation,
            idle_expires: carried.times.idle_expires,
            needs_reseal: carried.needs_reseal,
        };
        if carried.times.ends() > now
            && let Some(copy) = copy.filter(|copy| copy.data.generation >= carried.data.generation)
            && let Some(session) = self.unchanged(key, copy, now).await.map_err(store_refused)?
            && session.times.idle_expires >= carried.times.idle_expires
        {
            return Ok((session, brought));
        }
        self.bring_in(key, carried).await?;
        let era = self.0.copies.era(key);
        let found = self.0.store.get(key).await.map_err(store_refused)?;
        let found = found.ok_or_else(|| Refused::new("session.expired"))?;
        Ok((self.open_and_keep(key, &found, era, now)?, brought))
    }

    /// Takes over what the browser brought, where that is newer than what is here.
    pub(crate) async fn bring_in(&self, key: SessionKey, carried: &Carried) -> Result<(), Refused> {
        if carried.times.ends() <= self.0.clock.now() {
            return Err(Refused::new("session.expired"));
        }
        let record = self.record(key, &carried.data, carried.times)?;
        let store = &self.0.store;
        match store.get(key).await.map_err(store_refused)? {
            None => self.put(key, record).await?,
            Some(found) => {
                let here = self.open(key, &found)?;
                if here.data.generation < carried.data.generation {
                    // A conflict is a request of the same moment, which brought as much.
                    let _ = store.update(key, found.version, record).await;
                } else if here.times.idle_expires < carried.times.idle_expires {
                    let touched = store.touch(key, carried.times.idle_expires).await;
                    touched.map_err(store_refused)?;
                }
            }
        }
        Ok(())
    }

    async fn put(&self, key: SessionKey, record: SessionRecord) -> Result<(), Refused> {
        let store = &self.0.store;
        let made = match store.create(key, record.clone()).await {
            Err(StoreError::Gone) => {
                // Ended here; or idle for too long here, and in use at another replica.
                store.purge_expired().await.map_err(store_refused)?;
                store.create(key, record).await
            }
            other => other,
        };
        match made {
            Ok(_) | Err(StoreError::Conflict) => Ok(()),
            Err(StoreError::Gone) => Err(Refused::new("session.expired")),
            Err(error) => Err(store_refused(error)),
        }
    }

    /// The cookies that an answer must set: those of a session that the browser carries, where it has changed since.
    pub async fn carry(&self, session: &Session) -> Vec<HeaderValue> {
        let Some(brought) = session.brought else {
            return Vec::new();
        };
        let Ok(Some(now)) = self.now(session).await else {
            return Vec::new();
        };
        let slid = now.times.idle_expires.since(brought.idle_expires) > self.0.settings.idle / 10;
        if now.data.generation == brought.generation && !slid && !brought.needs_reseal {
            return Vec::new();
        }
        match self.sealed(session.id.expose(), now.times, &now.data) {
            Ok(value) => self.0.settings.set_session_cookies(&value),
            // Too large by now: what the browser has goes on for as long as it does.
            Err(_) => Vec::new(),
        }
    }

    /// The same for an answer that refuses a request: what was renewed on the way is in the browser's cookies or nowhere
    /// but here.
    pub async fn carry_out(&self, headers: &HeaderMap, method: &Method) -> Vec<HeaderValue> {
        if !self.0.settings.in_cookies {
            return Vec::new();
        }
        match self.session_as_is(headers, method).await {
            Ok(Some(session)) => self.carry(&session).await,
            _ => Vec::new(),
        }
    }

    /// The session after the call. It may have new tokens by now; as a rule it has not.
    async fn now(&self, session: &Session) -> Result<Option<Session>, Refused> {
        let now = self.0.clock.now();
        if let Some(copy) = self.0.copies.find(session.key, now)
            && let Ok(Some(unchanged)) = self.unchanged(session.key, &copy, now).await
        {
            return Ok(Some(unchanged));
        }
        self.read(session.key).await
    }

    /// The value that the session's cookies have together.
    pub(crate) fn sealed(&self, id: &str, times: Times, data: &SessionData) -> Result<Zeroizing<String>, Refused> {
        let head = Head {
            id: id.to_owned(),
            created: times.created,
            idle_expires: times.idle_expires,
            expires: times.expires,
        };
        let mut clear = Zeroizing::new(serde_json::to_vec(&head).unwrap_or_default());
        clear.push(b'\n');
        clear.extend_from_slice(&data.to_sealable());
        let sealed = self.0.carrier.seal(AAD, &clear);
        let sealed = sealed.map_err(|_| Refused::new("internal.error").found("sealing"))?;
        let value = Zeroizing::new(base64url_encode(&sealed));
        let most = CHUNK * MAX_CHUNKS;
        if value.len() > most {
            let refused = Refused::new("store.too_large").expected(format!("at most {most} bytes of cookies"));
            return Err(refused.found(format!("{} bytes", value.len())));
        }
        Ok(value)
    }

    fn unsealed(&self, value: &str) -> Option<Carried> {
        let opened = self.0.carrier.open(AAD, &base64url_decode(value)?).ok()?;
        let end = opened.plaintext.iter().position(|byte| *byte == b'\n')?;
        let (head, data) = opened.plaintext.split_at_checked(end)?;
        let head: Head = serde_json::from_slice(head).ok()?;
        Some(Carried {
            id: Secret::new(head.id),
            times: Times {
                created: head.created,
                idle_expires: head.idle_expires,
                expires: head.expires,
            },
            data: SessionData::from_sealable(data.get(1..)?)?,
            needs_reseal: opened.needs_reseal,
        })
    }

    /// Refuses what needs to know of sessions that no request brings.
    pub(crate) fn needs_store(&self) -> Result<(), Refused> {
        match self.0.settings.in_cookies {
            true => Err(Refused::new("session.not_kept")),
            false => Ok(()),
        }
    }
}

/// The value of all chunks, where each of them is there once.
fn joined(headers: &HeaderMap, name: &str, first: &str) -> Option<String> {
    let (count, first) = first.split_once('.')?;
    let count: usize = count.parse().ok().filter(|count| (1..=MAX_CHUNKS).contains(count))?;
    let mut value = first.to_owned();
    for number in 1..count {
        value.push_str(cookies::single(headers, &format!("{name}.{number}"))?);
    }
    Some(value)
}

/// Base64url is ASCII: it can be cut anywhere.
fn chunks(value: &str) -> impl Iterator<Item = &str> {
    value
        .as_bytes()
        .chunks(CHUNK)
        .filter_map(|chunk| std::str::from_utf8(chunk).ok())
}

#[cfg(test)]
mod tests {
    use http::header::COOKIE;

    use super::*;

    #[test]
    fn what_is_cut_is_joined_again_or_not_at_all() {
        let value = "x".repeat(CHUNK) + &"y".repeat(CHUNK) + "z";
        let parts: Vec<&str> = chunks(&value).collect();
        assert_eq!(parts.len(), 3);
        let headers = |pairs: &[(&str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(COOKIE, format!("{name}={value}").parse().unwrap());
            }
            headers
        };
        let first = format!("3.{}", parts[0]);
        let whole = headers(&[("s.2", parts[2]), ("s.1", parts[1]), ("s.3", "stale")]);
        assert_eq!(joined(&whole, "s", &first).as_deref(), Some(value.as_str()));
        for (broken, first) in [
            (headers(&[("s.1", parts[1])]), first.as_str()),
            (
                headers(&[("s.1", parts[1]), ("s.2", parts[2]), ("s.2", "planted")]),
                &first,
            ),
            (whole.clone(), "no number"),
            (whole.clone(), "0.x"),
            (whole.clone(), "6.x"),
            (whole, "-1.x"),
        ] {
            assert_eq!(joined(&broken, "s", first), None);
        }
    }
}
