use std::sync::Mutex;

use portcullis_jose::{Algorithm, AlgorithmSet, Clock as _, Limits, ManualClock, Refusal, SigningKey, UnverifiedJws};
use serde_json::json;

use super::*;
use crate::provider::tests::{FakeProvider, answer, clock, key};
use crate::{BoxFuture, HttpClient, HttpsUrl, IssuerRule, Observer, ProviderSettings};

type Told = Arc<Mutex<Vec<ProviderEvent>>>;

fn observed(fake: &Arc<FakeProvider>, settings: ProviderSettings, clock: &Arc<ManualClock>) -> (Provider, Told) {
    let told = Told::default();
    let sink = told.clone();
    let observer: Observer = Arc::new(move |name, event| {
        assert_eq!(name, "test");
        sink.lock().unwrap().push(event.clone());
    });
    (Provider::new(settings, fake.clone(), clock.clone(), observer), told)
}

fn named(kid: &str) -> SigningKey {
    key().with_kid(kid.to_owned())
}

fn rsa(kid: &str) -> SigningKey {
    SigningKey::generate(Algorithm::RS256).unwrap().with_kid(kid.to_owned())
}

/// No key of this name is known.
fn unknown(kid: &str) -> Doubt {
    Doubt::of(&Refusal::UnknownKid { kid: kid.into() }, "", &JwkSet::default()).unwrap()
}

/// A token of this signer, which may leave out the name of its key.
fn token(signer: &SigningKey, names_its_key: bool) -> String {
    let mut header = json!({ "alg": "ES256", "typ": "at+jwt" });
    if names_its_key {
        header["kid"] = signer.kid().into();
    }
    signer.sign_with_header(&header, b"{}").unwrap()
}

fn check(token: &str, keys: &KeySnapshot) -> Result<(), Refusal> {
    let jws = UnverifiedJws::parse(token, &Limits::default())?;
    jws.verify(&keys.set, AlgorithmSet::asymmetric()).map(drop)
}

/// Lets everything that can go on without time do so.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn keys_come_by_discovery_and_only_once() {
    let fake = FakeProvider::new();
    fake.serve(&[&key()]);
    let provider = fake.provider(clock());
    assert!(provider.keys().is_none());
    assert_eq!(provider.keys_or_fetch().await.unwrap().set.len(), 1);
    provider.keys_or_fetch().await.unwrap();
    assert_eq!(
        (fake.count("/jwks"), fake.count("/.well-known/openid-configuration")),
        (1, 1)
    );
}

#[tokio::test]
async fn an_unknown_kid_fetches_once_for_all_that_wait() {
    let fake = FakeProvider::new();
    let (old, new) = (key(), named("new"));
    fake.serve(&[&old]);
    let provider = fake.provider(clock());
    let seen = provider.keys_or_fetch().await.unwrap();
    fake.serve(&[&old, &new]);
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let (provider, seen) = (provider.clone(), seen.clone());
            tokio::spawn(async move { provider.keys_in_doubt(&unknown("new"), &seen).await })
        })
        .collect();
    for waiter in waiting {
        assert!(waiter.await.unwrap().unwrap().has("new"));
    }
    assert_eq!(fake.count("/jwks"), 2);
}

#[tokio::test]
async fn a_flood_of_made_up_kids_is_one_fetch_in_thirty_seconds() {
    let fake = FakeProvider::new();
    fake.serve(&[&key()]);
    let clock = clock();
    let provider = fake.provider(clock.clone());
    let seen = provider.keys_or_fetch().await.unwrap();
    for interval in 1..=3 {
        for number in 0..1000 {
            let kid = format!("made-up-{number}");
            provider.keys_in_doubt(&unknown(&kid), &seen).await.unwrap();
        }
        assert_eq!(fake.count("/jwks"), 1 + interval);
        clock.advance(30);
    }
}

#[tokio::test]
async fn rotations_in_a_row_are_all_seen_from_the_first_moment_on() {
    let fake = FakeProvider::new();
    fake.serve(&[&key()]);
    let provider = fake.provider(clock());
    let mut seen = provider.keys_or_fetch().await.unwrap();
    for number in 0..5 {
        let kid = format!("key-{number}");
        fake.serve(&[&named(&kid)]);
        seen = provider.keys_in_doubt(&unknown(&kid), &seen).await.unwrap();
        assert!(seen.has(&kid), "{kid}");
    }
}

#[tokio::test]
async fn a_flood_keeps_a_new_key_out_for_thirty_seconds_at_most() {
    let fake = FakeProvider::new();
    let old = key();
    fake.serve(&[&old]);
    let clock = clock();
    let provider = fake.provider(clock.clone());
    let seen = provider.keys_or_fetch().await.unwrap();
    provider.keys_in_doubt(&unknown("made-up"), &seen).await.unwrap();
    fake.serve(&[&old, &named("new")]);
    assert!(!provider.keys_in_doubt(&unknown("new"), &seen).await.unwrap().has("new"));
    clock.advance(30);
    // It is the flood itself that brings the key.
    let made_up = provider.keys_in_doubt(&unknown("made-up-2"), &seen).await.unwrap();
    assert!(made_up.has("new"));
    assert!(provider.keys_in_doubt(&unknown("new"), &seen).await.unwrap().has("new"));
}

#[tokio::test]
async fn a_fetch_that_was_under_way_proves_nothing_about_a_newer_key() {
    let fake = FakeProvider::new();
    let old = key();
    fake.serve(&[&old]);
    let provider = fake.provider(clock());
    let seen = provider.keys_or_fetch().await.unwrap();
    let refresh = tokio::spawn({
        let provider = provider.clone();
        async move { provider.refresh_keys().await }
    });
    // The answer to the refresh is on its way, with the old keys.
    while fake.count("/jwks") < 2 {
        tokio::task::yield_now().await;
    }
    fake.serve(&[&old, &named("new")]);
    assert!(provider.keys_in_doubt(&unknown("new"), &seen).await.unwrap().has("new"));
    refresh.await.unwrap().unwrap();
    assert_eq!(fake.count("/jwks"), 3);
}

#[tokio::test]
async fn a_key_that_is_replaced_under_its_old_name_is_looked_for_too() {
    for names_its_key in [true, false] {
        let (old, new, wrong) = (named("the key"), named("the key"), named("the key"));
        let fake = FakeProvider::new();
        fake.serve(&[&old]);
        let clock = clock();
        let provider = fake.provider(clock.clone());
        let seen = provider.keys_or_fetch().await.unwrap();
        let doubt = |signer| {
            let token = token(signer, names_its_key);
            Doubt::of(&check(&token, &seen).unwrap_err(), &token, &seen.set).unwrap()
        };
        let forged = doubt(&wrong);
        assert_eq!(forged.is_slight(), names_its_key);
        assert_eq!(forged.clone().into_refusal(), Refusal::SignatureInvalid);
        for _ in 0..100 {
            assert_eq!(
                provider.keys_in_doubt(&forged, &seen).await.unwrap().version,
                seen.version
            );
        }
        assert_eq!(fake.count("/jwks"), 2, "what is forged is paid for");
        clock.advance(30);
        fake.serve(&[&new]);
        let keys = provider.keys_in_doubt(&doubt(&new), &seen).await.unwrap();
        assert_eq!(check(&token(&new, names_its_key), &keys), Ok(()));
        assert_eq!(fake.count("/jwks"), 3);
        // It was there, so the next may be looked for at once.
        fake.serve(&[&wrong]);
        let seen = keys;
        let token = token(&wrong, names_its_key);
        let doubt = Doubt::of(&check(&token, &seen).unwrap_err(), &token, &seen.set).unwrap();
        assert_eq!(
            check(&token, &provider.keys_in_doubt(&doubt, &seen).await.unwrap()),
            Ok(())
        );
    }
}

#[tokio::test]
async fn nobody_can_say_whether_a_key_exists_while_the_provider_is_down() {
    let fake = FakeProvider::new();
    let old = key();
    fake.serve(&[&old]);
    let clock = clock();
    let provider = fake.provider(clock.clone());
    let seen = provider.keys_or_fetch().await.unwrap();
    fake.on("/jwks", |_| answer(503, &json!({})));
    for kid in ["new", "new", "made-up"] {
        assert!(provider.keys_in_doubt(&unknown(kid), &seen).await.is_err(), "{kid}");
    }
    assert_eq!(fake.count("/jwks"), 2, "an outage is no reason to ask more often");
    assert!(provider.keys().is_some());

    fake.serve(&[&old, &named("new")]);
    clock.advance(30);
    assert!(provider.keys_in_doubt(&unknown("new"), &seen).await.unwrap().has("new"));
    // It answers again: now a key that is not there is not there.
    let seen = provider.keys().unwrap();
    assert!(
        !provider
            .keys_in_doubt(&unknown("made-up"), &seen)
            .await
            .unwrap()
            .has("made-up")
    );
}

/// Answers after a minute, or whatever the client's own limit were.
#[derive(Debug)]
struct Slow(Arc<FakeProvider>, Mutex<bool>);

impl HttpClient for Slow {
    fn send(
        &self,
        request: http::Request<Bytes>,
        limit: usize,
    ) -> BoxFuture<'_, Result<http::Response<Bytes>, HttpError>> {
        let slow = *self.1.lock().unwrap();
        Box::pin(async move {
            if slow {
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
            self.0.send(request, limit).await
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_a_slow_provider_and_not_for_long() {
    let fake = FakeProvider::new();
    let old = key();
    fake.serve(&[&old]);
    let slow = Arc::new(Slow(fake.clone(), Mutex::new(false)));
    let settings = ProviderSettings::new("test", FakeProvider::ISSUER);
    let provider = Provider::new(settings, slow.clone(), clock(), Arc::new(|_, _| {}));
    let seen = provider.keys_or_fetch().await.unwrap();
    fake.serve(&[&old, &named("new")]);
    *slow.1.lock().unwrap() = true;

    let begun = tokio::time::Instant::now();
    assert!(provider.keys_in_doubt(&unknown("new"), &seen).await.is_err());
    assert_eq!(begun.elapsed().as_secs(), 4);
    // The fetch went on without the request, and nobody has to begin it again.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(provider.keys().unwrap().has("new"));
    assert_eq!(fake.count("/jwks"), 2);
}

#[tokio::test]
async fn the_last_good_keys_are_used_for_a_day_while_the_provider_is_down() {
    let fake = FakeProvider::new();
    fake.serve(&[&key()]);
    let clock = clock();
    let (provider, told) = observed(&fake, ProviderSettings::new("test", FakeProvider::ISSUER), &clock);
    let first = provider.keys_or_fetch().await.unwrap();
    let mut page = answer(200, &json!({ "keys": [key().public_jwk()] }));
    let html = http::HeaderValue::from_static("Text/HTML; charset=utf-8");
    page.headers_mut().insert(http::header::CONTENT_TYPE, html);
    let broken = [
        http::Response::builder().status(503).body(Bytes::new()).unwrap(),
        answer(200, &json!({ "keys": [] })),
        answer(200, &json!({ "keys": [{ "kty": "oct", "k": "c2VjcmV0" }] })),
        answer(200, &json!([])),
        http::Response::new(Bytes::from_static(b"<html>")),
        http::Response::new(Bytes::new()),
        http::Response::builder()
            .status(302)
            .header("location", "https://elsewhere.test/jwks")
            .body(Bytes::new())
            .unwrap(),
        page,
    ];
    for broken in broken {
        let shown = format!("{broken:?}");
        fake.on("/jwks", move |_| broken.clone());
        clock.advance(60);
        assert!(provider.refresh_keys().await.is_err(), "{shown}");
        assert_eq!(provider.keys().unwrap().version, first.version, "{shown}");
    }
    assert_eq!(fake.count("/elsewhere"), 0);
    // The outage is news when it begins, and again after five minutes; each failure is there to be counted.
    let failures = told.lock().unwrap().split_off(1);
    let seen: Vec<(Option<i64>, bool)> = failures
        .iter()
        .map(|event| match event {
            ProviderEvent::KeysUnavailable { age, news, .. } => (*age, *news),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [60, 120, 180, 240, 300, 360, 420, 480].map(|age| (Some(age), age == 60 || age == 360));
    assert_eq!(seen, expected);

    clock.advance(24 * 3600 - 480);
    assert!(provider.keys().is_some());
    clock.advance(1);
    assert!(provider.keys().is_none());
    assert!(provider.keys_or_fetch().await.is_err());
}

#[tokio::test]
async fn what_is_ignored_is_told_once_and_again_when_it_changes() {
    let fake = FakeProvider::new();
    let good = key();
    let (provider, told) = observed(&fake, ProviderSettings::new("test", FakeProvider::ISSUER), &clock());
    let broken = json!({ "kty": "RSA", "kid": "weak", "n": "AQAB", "e": "AQAB" });
    let both = json!({ "keys": [good.public_jwk(), broken] });
    fake.on("/jwks", move |_| answer(200, &both));
    for _ in 0..3 {
        provider.refresh_keys().await.unwrap();
    }
    fake.serve(&[&good]);
    provider.refresh_keys().await.unwrap();
    provider.refresh_keys().await.unwrap();
    let told: Vec<(usize, bool)> = told
        .lock()
        .unwrap()
        .iter()
        .map(|event| match event {
            ProviderEvent::KeysRefreshed { ignored, news, keys: 1 } => (ignored.len(), *news),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told, [(1, true), (1, false), (1, false), (0, true), (0, false)]);
}

#[tokio::test]
async fn a_generation_ends_when_a_key_goes_and_not_when_one_comes() {
    let fake = FakeProvider::new();
    let (one, two) = (named("1"), named("2"));
    let provider = fake.provider(clock());
    let mut numbers = Vec::new();
    let sets: [&[&SigningKey]; 6] = [&[&one], &[&one, &two], &[&two, &one], &[&two], &[&two], &[&one]];
    for set in sets {
        fake.serve(set);
        let keys = provider.refresh_keys().await.unwrap();
        numbers.push((keys.version, keys.generation));
    }
    assert_eq!(numbers, [(1, 1), (2, 1), (2, 1), (3, 2), (3, 2), (4, 3)]);
    // Another key under the same name is another key.
    let other = rsa("1");
    fake.serve(&[&other]);
    assert_eq!(provider.refresh_keys().await.unwrap().generation, 4);
    // So is the same one for another algorithm.
    for (alg, generation) in [("RS256", 4), ("PS256", 5), ("PS256", 5)] {
        let mut jwk = other.public_jwk();
        jwk["alg"] = alg.into();
        fake.on("/jwks", move |_| answer(200, &json!({ "keys": [jwk] })));
        assert_eq!(provider.refresh_keys().await.unwrap().generation, generation, "{alg}");
    }
}

#[tokio::test]
async fn metadata_may_lie_elsewhere_and_must_name_the_issuer_all_the_same() {
    const TEMPLATE: &str = "https://login.test/{tenantid}/v2.0";
    let fake = FakeProvider::new();
    let (shared, ours, theirs, plain) = ("shared", "ours", "theirs", "plain");
    let of = |kid: &str, issuer: Option<&str>| {
        let mut jwk = named(kid).public_jwk();
        if let Some(issuer) = issuer {
            jwk["issuer"] = issuer.into();
        }
        jwk
    };
    let mut unclear = of("unclear", None);
    unclear["issuer"] = json!([TEMPLATE]);
    let set = json!({ "keys": [
        of(shared, Some(TEMPLATE)), of(ours, Some("https://login.test/tenant-a/v2.0")),
        of(theirs, Some("https://login.test/tenant-b/v2.0")), of(plain, None), unclear,
    ]});
    fake.on("/jwks", move |_| answer(200, &set));
    let issuer = Arc::new(Mutex::new(TEMPLATE));
    let named = issuer.clone();
    fake.on("/organizations/v2.0/.well-known/openid-configuration", move |_| {
        let named = *named.lock().unwrap();
        answer(200, &json!({ "issuer": named, "jwks_uri": "https://login.test/jwks" }))
    });
    let rule = IssuerRule::tenants(TEMPLATE, &["tenant-a".to_owned()]).unwrap();
    let mut settings = ProviderSettings::new("test", rule);
    settings.discovery = Some(HttpsUrl::parse("https://login.test/organizations/v2.0").unwrap());
    let (provider, told) = observed(&fake, settings.clone(), &clock());
    let keys = provider.keys_or_fetch().await.unwrap();
    let has: Vec<bool> = [shared, ours, theirs, plain].map(|kid| keys.has(kid)).into();
    assert_eq!(has, [true, true, false, true]);
    assert!(
        matches!(&told.lock().unwrap()[0], ProviderEvent::KeysRefreshed { ignored, .. }
        if *ignored == ["theirs: the key of another issuer", "unclear: the key of another issuer"])
    );

    *issuer.lock().unwrap() = "https://login.test/organizations/v2.0";
    let (provider, _) = observed(&fake, settings, &clock());
    assert_eq!(
        provider.keys_or_fetch().await.unwrap_err().code(),
        "provider.issuer_mismatch"
    );
}

#[tokio::test(start_paused = true)]
async fn keys_of_a_file_need_nobody_and_follow_the_file() {
    let fake = FakeProvider::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.json");
    let write = |keys: &[&SigningKey]| {
        let set = json!({ "keys": keys.iter().map(|key| key.public_jwk()).collect::<Vec<_>>() });
        std::fs::write(&path, set.to_string()).unwrap();
    };
    let mut settings = ProviderSettings::new("test", FakeProvider::ISSUER);
    settings.jwks_file = Some(path.clone());
    let (provider, _) = observed(&fake, settings, &clock());
    assert!(provider.refresh_keys().await.is_err(), "there is no file yet");
    write(&[&named("1")]);
    let first = provider.refresh_keys().await.unwrap();
    write(&[&named("2")]);
    assert!(provider.keys_in_doubt(&unknown("2"), &first).await.unwrap().has("2"));
    std::fs::write(&path, "{").unwrap();
    assert!(provider.refresh_keys().await.is_err());
    assert!(provider.keys().unwrap().has("2"));
    assert_eq!(fake.count("/jwks") + fake.count("/.well-known/openid-configuration"), 0);
}

#[tokio::test(start_paused = true)]
async fn the_background_refresh_goes_ahead_of_expiry_and_ends_with_its_task() {
    let fake = FakeProvider::new();
    let set = json!({ "keys": [key().public_jwk()] });
    fake.on("/jwks", move |_| {
        let mut response = answer(200, &set);
        response
            .headers_mut()
            .insert(CACHE_CONTROL, http::HeaderValue::from_static("public, max-age=100"));
        response
    });
    let provider = fake.provider(clock());
    let task = provider.spawn_refresh();
    tokio::time::advance(Duration::from_millis(1)).await;
    settle().await;
    assert_eq!(fake.count("/jwks"), 1);
    // 80 s, give or take 5 %: not before 76 s, surely by 84 s.
    tokio::time::advance(Duration::from_secs(75)).await;
    settle().await;
    assert_eq!(fake.count("/jwks"), 1);
    tokio::time::advance(Duration::from_secs(10)).await;
    settle().await;
    assert_eq!(fake.count("/jwks"), 2);
    drop(task);
    tokio::time::advance(Duration::from_secs(1000)).await;
    settle().await;
    assert_eq!(fake.count("/jwks"), 2);
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_the_background_refresh_comes_back_soon_and_then_more_rarely() {
    let fake = FakeProvider::new();
    fake.serve(&[&key()]);
    let provider = fake.provider(clock());
    let _task = provider.spawn_refresh();
    settle().await;
    let seen = provider.keys().unwrap();
    fake.on("/jwks", |_| answer(503, &json!({})));
    // Nobody would ask for eight minutes; a request that misses a key wakes it up.
    assert!(provider.keys_in_doubt(&unknown("new"), &seen).await.is_err());
    assert_eq!(fake.count("/jwks"), 2);
    for (seconds, asked) in [(2, 3), (5, 4), (9, 5), (17, 6), (34, 7), (68, 8), (68, 9), (68, 10)] {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        settle().await;
        assert_eq!(fake.count("/jwks"), asked, "after {seconds} more seconds");
    }
    let new = named("new");
    fake.serve(&[&new]);
    tokio::time::advance(Duration::from_secs(68)).await;
    settle().await;
    assert!(provider.keys().unwrap().has("new"));
}

/// Entra publishes the keys of personal accounts beside those of companies.
#[tokio::test]
async fn the_key_of_one_tenant_signs_nothing_for_another() {
    const TEMPLATE: &str = "https://login.test/{tenantid}/v2.0";
    let of = |tenant: &str| TEMPLATE.replace("{tenantid}", tenant);
    let fake = FakeProvider::new();
    let (shared, of_a) = (named("shared"), named("of-a"));
    let owned = |key: &SigningKey, issuer: &str| {
        let mut jwk = key.public_jwk();
        jwk["issuer"] = issuer.into();
        jwk
    };
    let set = json!({ "keys": [owned(&shared, TEMPLATE), owned(&of_a, &of("a"))] });
    fake.on("/jwks", move |_| answer(200, &set));
    let rule = IssuerRule::tenants(TEMPLATE, &["a".to_owned(), "b".to_owned()]).unwrap();
    let mut settings = ProviderSettings::new("test", rule);
    settings.jwks_uri = Some(HttpsUrl::parse("https://login.test/jwks").unwrap());
    let (provider, _) = observed(&fake, settings, &clock());
    let keys = provider.keys_or_fetch().await.unwrap();
    for (key, tenant, passes) in [
        (&shared, "a", true),
        (&shared, "b", true),
        (&of_a, "a", true),
        (&of_a, "b", false),
    ] {
        let claims = json!({ "iss": of(tenant), "tid": tenant });
        let token = key.sign_jwt("at+jwt", &claims).unwrap();
        let jws = UnverifiedJws::parse(&token, &Limits::default()).unwrap();
        let verified = jws.verify(keys.of_token(&token), AlgorithmSet::asymmetric());
        assert_eq!(verified.is_ok(), passes, "{} {tenant}", key.kid());
        let issuer = of(tenant);
        assert!(std::ptr::eq(keys.of_token(&token), keys.of_issuer(Some(&issuer))));
    }
}

#[tokio::test(start_paused = true)]
async fn on_demand_nothing_is_asked_while_nobody_asks() {
    let fake = FakeProvider::new();
    let (old, new) = (named("old"), named("new"));
    fake.serve(&[&old]);
    let clock = clock();
    let mut settings = ProviderSettings::new("test", FakeProvider::ISSUER);
    settings.keys_on_demand = true;
    let (provider, _) = observed(&fake, settings, &clock);
    let _task = provider.spawn_refresh();
    settle().await;
    assert_eq!(fake.count("/jwks"), 1, "so that it can be ready");
    tokio::time::sleep(Duration::from_secs(7_200)).await;
    clock.advance(500);
    assert!(provider.is_ready(), "which asks nobody");
    assert_eq!(fake.count("/jwks"), 1);
    // Whoever asks then gets what there is, and brings the newer ones for the next.
    fake.on("/jwks", |_| answer(503, &json!({})));
    for _ in 0..10 {
        assert!(provider.keys().unwrap().has("old"));
        settle().await;
    }
    assert_eq!(fake.count("/jwks"), 2, "not again at once");
    fake.serve(&[&new]);
    clock.advance(30);
    assert_eq!(provider.keys_generation(clock.now()), Some(1));
    settle().await;
    assert_eq!(
        (provider.keys_generation(clock.now()), fake.count("/jwks")),
        (Some(2), 3)
    );
    assert!(provider.keys().unwrap().has("new"));
    // After more than an hour nobody knows whether they still count: the first waits.
    clock.advance(3_601);
    assert!(provider.is_ready() && provider.keys().is_none());
    fake.serve(&[&old]);
    assert!(provider.keys_or_fetch().await.unwrap().has("old"));
    // And where the provider does not answer, they are better than nothing.
    clock.advance(3_601);
    fake.on("/jwks", |_| answer(503, &json!({})));
    assert!(provider.keys_or_fetch().await.unwrap().has("old"));
    assert!(provider.keys().is_some());
}

#[test]
fn replicas_spread_out_by_a_tenth() {
    let pauses: Vec<u128> = (0..200).map(|_| about(600).as_millis()).collect();
    assert!(pauses.iter().all(|pause| (570_000..=630_000).contains(pause)));
    let (least, most) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
    assert!(most - least > 20_000, "{least} to {most}");
}

#[test]
fn freshness_is_bounded() {
    let with = |value: &str| {
        let mut headers = http::HeaderMap::new();
        headers.insert(CACHE_CONTROL, value.parse().unwrap());
        freshness(&headers)
    };
    assert_eq!(freshness(&http::HeaderMap::new()), 600);
    assert_eq!(with("public, max-age=900"), 900);
    assert_eq!(with("max-age=0"), 60);
    assert_eq!(with("max-age=99999999"), 3600);
    assert_eq!(with("no-store"), 600);
}
