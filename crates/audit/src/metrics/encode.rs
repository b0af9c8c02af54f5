//! The counters as OpenMetrics text.

use std::fmt::Error;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::Data;

#[derive(Debug)]
pub(super) struct Exposition(pub(super) Arc<Data>);

type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        requests(&self.0, &mut encoder)?;
        durations(&self.0, &mut encoder)?;
        upstreams(&self.0, &mut encoder)?;
        tallies(&self.0, &mut encoder)?;
        sessions(&self.0, &mut encoder)?;
        providers(&self.0, &mut encoder)?;
        clients(&self.0, &mut encoder)?;
        revocations(&self.0, &mut encoder)?;
        process(&self.0, &mut encoder)
    }
}

fn requests(data: &Data, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    let mut rows: Vec<(Box<str>, &'static str, String, u64)> = Vec::new();
    for (route, series) in data.routes.all() {
        series.each_status(|credential, status, count| {
            rows.push((route.clone(), credential.as_str(), status.to_string(), count));
        });
    }
    counters(
        encoder,
        "requests",
        "Answered requests by route, credential and status",
        rows.iter().map(|(route, credential, status, count)| {
            (
                [
                    ("route", &**route),
                    ("credential", *credential),
                    ("status", status.as_str()),
                ],
                *count,
            )
        }),
    )
}

fn durations(data: &Data, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    let help = "Time from a request's head to the end of its answer's head";
    let mut metric =
        encoder.encode_descriptor("request_duration", help, Some(&Unit::Seconds), MetricType::Histogram)?;
    for (route, series) in data.routes.all() {
        let (sum, count, buckets) = series.durations();
        if count > 0 {
            metric
                .encode_family(&[("route", &*route)])?
                .encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
    }
    Ok(())
}

fn upstreams(data: &Data, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    let mut rows: Vec<(Box<str>, &'static str, u64)> = Vec::new();
    for (route, series) in data.routes.all() {
        series.each_upstream_failure(|code, count| rows.push((route.clone(), code, count)));
    }
    counters(
        encoder,
        "upstream_errors",
        "Calls that passed every check and got no usable answer, by route and code",
        rows.iter()
            .map(|(route, code, count)| ([("route", &**route), ("code", *code)], *count)),
    )
}

fn tallies(data: &Data, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    let refusals = data.refusals.counted();
    let rows = refusals.iter().map(|(code, count)| ([("code", *code)], *count));
    counters(
        encoder,
        "refusals",
        "Refusals by code; each code is explained in the manual",
        rows,
    )?;
    let events = data.events.counted();
    let rows = events.iter().map(|(event, count)| ([("event", *event)], *count));
    counters(encoder, "events", "Audit events by name", rows)?;
    let lost = [
        ("routine", &data.dropped_routine),
        ("security", &data.dropped_security),
        ("write_failed", &data.lost_in_write),
    ];
    let rows = lost
        .iter()
        .map(|(kind, count)| ([("kind", *kind)], count.load(Ordering::Relaxed)));
    counters(
        encoder,
        "audit_lines_dropped",
        "Audit lines that were lost because their reader was stuck or gone",
        rows,
    )
}

fn sessions(data: &Data, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    let frontends = data.frontends.all();
    let rows = frontends
        .iter()
        .map(|(name, f)| ([("frontend", &**name)], f.started.load(Ordering::Relaxed)));
    counters(
        encoder,
        "sessions_started",
        "Sessions that began here, by frontend",
        rows,
    )?;
    let rows = frontends
        .iter()
        .map(|(name, f)| ([("frontend", &**name)], f.ended.load(Ordering::Relaxed)));
    counters(encoder, "sessions_ended", "Sessions that ended here, by frontend", rows)?;
    let rows = frontends
        .iter()
        .map(|(name, f)| ([("frontend", &**name)], f.from_copy.load(Ordering::Relaxed)));
    let help = "Requests with a copy of their session while the store did not answer, by frontend";
    counters(encoder, "sessions_from_copy", help, rows)
}

fn providers(data: &Data, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    let now = data.clock.now();
    let providers = data.providers.all();
    let rows = providers
        .iter()
        .map(|(name, p)| ([("provider", &**name)], p.failures.load(Ordering::Relaxed)));
    counters(encoder, "provider_errors", "Requests to a provider that failed", rows)?;
    let with_keys: Vec<_> = providers
        .iter()
        .filter(|(_, p)| p.keys_fetched.load(Ordering::Relaxed) != super::NEVER)
        .collect();
    let rows = with_keys.iter().map(|(name, p)| {
        let fetched = p.keys_fetched.load(Ordering::Relaxed);
        ([("provider", &**name)], now.as_secs().saturating_sub(fetched).max(0))
    });
    gauges(
        encoder,
        "provider_key_age",
        "Time since the provider's keys were fetched",
        Some(&Unit::Seconds),
        rows,
    )?;
    let rows = with_keys.iter().map(|(name, p)| {
        (
            [("provider", &**name)],
            i64::try_from(p.keys.load(Ordering::Relaxed)).unwrap_or(i64::MAX),
        )
    });
    gauges(encoder, "provider_keys", "Usable keys of the provider", None, rows)
}

fn clients(data: &Data, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    let clients = data.clients.all();
    let rows = clients
        .iter()
        .map(|(name, c)| ([("client", &**name)], c.refused.load(Ordering::Relaxed)));
    counters(
        encoder,
        "client_credentials_refused",
        "Times that a provider did not know a client by one of its credentials",
        rows,
    )?;
    let now = data.clock.now();
    let mut rows: Vec<(Box<str>, String, i64)> = Vec::new();
    for (name, client) in &clients {
        let expiries = client.expiries.lock().unwrap_or_else(PoisonError::into_inner);
        let left = expiries
            .iter()
            .map(|(credential, at)| (credential.clone(), at.since(now)));
        rows.extend(left.map(|(credential, left)| (name.clone(), credential, left)));
    }
    let rows = rows
        .iter()
        .map(|(client, credential, left)| ([("client", &**client), ("credential", credential.as_str())], *left));
    gauges(
        encoder,
        "client_credential_expires",
        "Time until a credential of a client expires; below 0 it has",
        Some(&Unit::Seconds),
        rows,
    )
}

fn revocations(data: &Data, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    let read = data.revocations_read.load(Ordering::Relaxed);
    if read != super::NEVER {
        let count = i64::try_from(data.revocations.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
        let help = "Revocations in the list of this process";
        encoder
            .encode_descriptor("revocations", help, None, MetricType::Gauge)?
            .encode_gauge(&count)?;
        let age = data.clock.now().as_secs().saturating_sub(read).max(0);
        let help = "Time since the list of revocations was read";
        encoder
            .encode_descriptor("revocations_age", help, Some(&Unit::Seconds), MetricType::Gauge)?
            .encode_gauge(&age)?;
    }
    let served = data.served_stale.load(Ordering::Relaxed);
    let help = "Calls that were judged by a list of revocations older than their API allows";
    encoder
        .encode_descriptor("stale_revocations_served", help, None, MetricType::Counter)?
        .encode_counter::<NoLabelSet, u64, f64>(&served, None)
}

fn process(data: &Data, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    let help = "When this process began, in seconds since 1970";
    encoder
        .encode_descriptor("start_time", help, Some(&Unit::Seconds), MetricType::Gauge)?
        .encode_gauge(&data.started.as_secs())
}

fn counters<'a, const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    rows: impl Iterator<Item = (Labels<'a, N>, u64)>,
) -> Result<(), Error> {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, count) in rows {
        metric
            .encode_family(&labels)?
            .encode_counter::<NoLabelSet, u64, f64>(&count, None)?;
    }
    Ok(())
}

fn gauges<'a, const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    rows: impl Iterator<Item = (Labels<'a, N>, i64)>,
) -> Result<(), Error> {
    let mut metric = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
    for (labels, value) in rows {
        metric.encode_family(&labels)?.encode_gauge(&value)?;
    }
    Ok(())
}
