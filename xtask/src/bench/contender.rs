//! What is measured: a server, what is sent to it, and what came of it.

use serde_json::{Value, json};

use super::load::{self, Bring};
use super::{median, peers, process};
use crate::sh::{Failure, Outcome};

/// One line of a table.
pub(super) struct Contender {
    pub(super) name: &'static str,
    /// Its process.
    pid: u32,
    url: String,
    pub(super) bring: Bring,
    per_second: Vec<f64>,
    cpu_micros: Vec<f64>,
    busy: Vec<f64>,
}

// === impl Contender ===

impl Contender {
    pub(super) fn new(name: &'static str, pid: u32, port: u16, path: &str, bring: &Bring) -> Self {
        let url = format!("http://127.0.0.1:{port}{path}");
        Self {
            name,
            pid,
            url,
            bring: bring.clone(),
            per_second: Vec::new(),
            cpu_micros: Vec::new(),
            busy: Vec::new(),
        }
    }

    pub(super) fn warm_up(&self, seconds: u64) -> Outcome {
        load::wrk(peers::OTHERS, seconds, &self.url, &self.bring).map(drop)
    }

    pub(super) fn round(&mut self, seconds: u64) -> Outcome {
        let before = process::cpu_seconds(self.pid)?;
        let load = load::wrk(peers::OTHERS, seconds, &self.url, &self.bring)?;
        let cpu = process::cpu_seconds(self.pid)? - before;
        if load.errors > 0 || load.requests == 0 {
            return Err(Failure(format!(
                "{}: {} of {} requests failed; the round does not count",
                self.name, load.errors, load.requests
            )));
        }
        self.per_second.push(load.per_second);
        self.cpu_micros.push(cpu * 1e6 / load.requests as f64);
        self.busy.push(cpu / seconds as f64 * 100.0);
        Ok(())
    }

    /// CPU microseconds for a request, the median of the rounds.
    fn cpu(&self) -> f64 {
        median(&self.cpu_micros)
    }

    /// How many times the CPU of another one a request takes: the median over the rounds, each against the other's in the
    /// same round. What slows the machine for some seconds slows both.
    pub(super) fn against(&self, other: &Self) -> f64 {
        let rounds = self.cpu_micros.iter().zip(&other.cpu_micros);
        median(&rounds.map(|(own, others)| own / others).collect::<Vec<_>>())
    }
}

/// Prints the table, each beside the first, and gives its rows for the record.
pub(super) fn table(contenders: &[Contender]) -> Vec<Value> {
    let first = contenders.first();
    println!(
        "\n{:<28} {:>12} {:>16} {:>14} {:>10}",
        "", "requests/s", "CPU us/request", "against first", "core busy"
    );
    let rows = contenders.iter().map(|contender| {
        let (rate, cpu, busy) = (median(&contender.per_second), contender.cpu(), median(&contender.busy));
        let ratio = first.map_or(f64::NAN, |first| contender.against(first));
        println!(
            "{:<28} {rate:>12.0} {cpu:>16.2} {ratio:>14.2} {busy:>8.0} %",
            contender.name
        );
        json!({
            "name": contender.name, "requests_per_second": rate, "cpu_micros_per_request": cpu, "ratio_to_first": ratio,
            "core_busy_percent": busy,
            "rounds": { "requests_per_second": contender.per_second, "cpu_micros_per_request": contender.cpu_micros },
        })
    });
    rows.collect()
}
