//! What a page, a link or another party asks of a login: the parameters of `/bff/login`.

use std::borrow::Cow;

use portcullis_audit::Refused;
use portcullis_oidc::login::LoginRequest;

use crate::{FrontendSettings, LoginDefaults, return_path};

/// A class of authentication or a hint is never longer.
const MAX_TEXT: usize = 512;
/// The longest age that is asked for, in seconds: a year.
const MAX_AGE: u64 = 365 * 24 * 60 * 60;
/// `prompt` of OpenID Connect Core 1.0 s3.1.2.1, and `create` (Initiating User Registration 1.0).
const PROMPTS: [&str; 5] = ["none", "login", "consent", "select_account", "create"];

/// What is asked of a login.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wish {
    /// Where to go afterwards.
    pub(crate) return_to: String,
    pub(crate) prompt: Option<String>,
    pub(crate) max_age: Option<u64>,
    pub(crate) acr_values: Option<String>,
    pub(crate) login_hint: Option<String>,
    pub(crate) ui_locales: Option<String>,
    /// The part of the address after `#` is still to be asked for.
    pub(crate) keep_fragment: bool,
    /// The issuer that a third party names (OpenID Connect Core 1.0 s4).
    pub(crate) issuer: Option<String>,
}

impl Wish {
    /// Reads a query or a form. Unknown parameters are passed over, as s4 asks.
    pub(crate) fn parse(form: &[u8], settings: &FrontendSettings) -> Result<Wish, Refused> {
        let mut wish = Wish::default();
        let (mut return_to, mut target) = (None, None);
        let (mut prompt, mut max_age, mut keep) = (None, None, None);
        for (name, value) in form_urlencoded::parse(form) {
            let slot = match &*name {
                "return_to" => &mut return_to,
                "target_link_uri" => &mut target,
                "prompt" => &mut prompt,
                "max_age" => &mut max_age,
                "acr_values" => &mut wish.acr_values,
                "login_hint" => &mut wish.login_hint,
                "ui_locales" => &mut wish.ui_locales,
                "iss" => &mut wish.issuer,
                "keep" => &mut keep,
                _ => continue,
            };
            if slot.replace(value.into_owned()).is_some() {
                return Err(Refused::new("login.duplicate_parameter").found(name));
            }
        }
        wish.return_to = match (return_to, target) {
            (Some(_), Some(_)) => {
                return Err(Refused::new("login.duplicate_parameter").found("return_to and target_link_uri"));
            }
            (Some(path), None) => return_path::check(&path, settings)?,
            (None, Some(url)) => return_path::check_link(&url, settings)?,
            (None, None) => settings.home(),
        };
        wish.prompt = prompt.map(|value| one_of(value, &PROMPTS, "prompt")).transpose()?;
        wish.max_age = max_age.map(|value| age(&value)).transpose()?;
        wish.keep_fragment = keep.as_deref() == Some("fragment");
        for (name, value) in [
            ("acr_values", &wish.acr_values),
            ("login_hint", &wish.login_hint),
            ("ui_locales", &wish.ui_locales),
        ] {
            if let Some(value) = value {
                check_text(name, value)?;
            }
        }
        Ok(wish)
    }

    /// The address that begins this login.
    pub(crate) fn url(&self, settings: &FrontendSettings) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("return_to", &self.return_to);
        let max_age = self.max_age.map(|seconds| seconds.to_string());
        for (name, value) in [
            ("prompt", self.prompt.as_deref()),
            ("max_age", max_age.as_deref()),
            ("acr_values", self.acr_values.as_deref()),
            ("login_hint", self.login_hint.as_deref()),
            ("ui_locales", self.ui_locales.as_deref()),
            ("keep", self.keep_fragment.then_some("fragment")),
        ] {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        format!("{}?{}", settings.endpoint("login"), query.finish())
    }

    /// What is configured takes the place of what was not asked for. The stricter age counts, whoever names it.
    pub(crate) fn complete(&mut self, defaults: &LoginDefaults) {
        self.max_age = self.max_age.into_iter().chain(defaults.max_age).min();
        for (own, configured) in [
            (&mut self.prompt, &defaults.prompt),
            (&mut self.acr_values, &defaults.acr_values),
            (&mut self.ui_locales, &defaults.ui_locales),
        ] {
            if own.is_none() {
                own.clone_from(configured);
            }
        }
    }

    pub(crate) fn fill<'a>(&'a self, login: &mut LoginRequest<'a>) {
        login.prompt = self.prompt.as_deref();
        login.max_age = self.max_age;
        login.acr_values = self.acr_values.as_deref();
        login.login_hint = self.login_hint.as_deref();
        login.ui_locales = self.ui_locales.as_deref();
    }

    pub(crate) fn is_silent(&self) -> bool {
        self.prompt.as_deref() == Some("none")
    }
}

fn invalid(name: &str, expected: impl Into<Cow<'static, str>>) -> Refused {
    // What came is not repeated: a hint may be somebody's address.
    Refused::new("login.parameter_invalid")
        .expected(expected.into())
        .found(name)
}

fn one_of(value: String, known: &[&str], name: &str) -> Result<String, Refused> {
    match known.contains(&value.as_str()) {
        true => Ok(value),
        false => Err(invalid(name, known.join(", "))),
    }
}

fn age(value: &str) -> Result<u64, Refused> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = value.parse().ok().filter(|seconds| digits && *seconds <= MAX_AGE);
    seconds.ok_or_else(|| invalid("max_age", "a number of seconds"))
}

fn check_text(name: &str, value: &str) -> Result<(), Refused> {
    let plain = !value.is_empty() && value.len() <= MAX_TEXT && !value.chars().any(char::is_control);
    match plain {
        true => Ok(()),
        false => Err(invalid(
            name,
            format!("1 to {MAX_TEXT} bytes without control characters"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(asked: Wish) -> Wish {
        let mut wish = asked;
        wish.complete(&LoginDefaults {
            acr_values: Some("configured".into()),
            max_age: Some(60),
            prompt: Some("login".into()),
            ui_locales: Some("de".into()),
        });
        wish
    }

    #[test]
    fn what_was_not_asked_for_is_as_configured() {
        let wish = completed(Wish::default());
        assert_eq!((wish.prompt.as_deref(), wish.max_age), (Some("login"), Some(60)));
        assert_eq!(
            (wish.acr_values.as_deref(), wish.ui_locales.as_deref()),
            (Some("configured"), Some("de"))
        );
        assert_eq!(wish.login_hint, None);
        let mut unchanged = Wish::default();
        unchanged.complete(&LoginDefaults::default());
        assert_eq!(unchanged, Wish::default());
    }

    #[test]
    fn what_was_asked_for_goes_before_it() {
        let wish = completed(Wish {
            prompt: Some("none".into()),
            acr_values: Some("asked".into()),
            ui_locales: Some("fr".into()),
            ..Wish::default()
        });
        assert_eq!((wish.prompt.as_deref(), wish.is_silent()), (Some("none"), true));
        assert_eq!(
            (wish.acr_values.as_deref(), wish.ui_locales.as_deref()),
            (Some("asked"), Some("fr"))
        );
    }

    #[test]
    fn an_age_is_asked_for_down_and_not_up() {
        for (asked, counts) in [(0, 0), (59, 59), (60, 60), (61, 60), (MAX_AGE, 60)] {
            let wish = completed(Wish {
                max_age: Some(asked),
                ..Wish::default()
            });
            assert_eq!(wish.max_age, Some(counts), "{asked}");
        }
    }
}
