//! `portcullis check`: what is wrong with a configuration, and what is probably not meant.

use std::io::stderr;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::FAULTY;
use crate::config::{self, FaultKind, Places, warnings};
use crate::diagnostic::{Style, render};
use crate::server;

/// Exit status 2 for a fault; a warning is none.
pub(super) fn run(path: &Path, json: bool) -> ExitCode {
    let result = config::load(path);
    if let Some(Err(why)) = result
        .as_ref()
        .ok()
        .and_then(|settings| settings.server.tls.as_ref())
        .map(server::tls_acceptor)
    {
        // The files are there and readable; what is in them is another matter.
        let code = FaultKind::TlsUnusable.code();
        if json {
            let fault = json!({ "code": code, "message": why });
            println!(
                "{}",
                json!({ "file": path.display().to_string(), "valid": false, "faults": [fault] })
            );
        } else {
            eprintln!("error[{code}]: {why}");
        }
        return ExitCode::from(FAULTY);
    }
    let mut told = config::check_json(&path.display().to_string(), &result);
    let status = match &result {
        Ok(settings) => {
            let places = Places::load(path);
            let found = warnings(settings, &places);
            if json {
                let found: Vec<Value> = found.iter().map(|warning| warning.to_json(places.source())).collect();
                if let (Some(told), false) = (told.as_object_mut(), found.is_empty()) {
                    told.insert("warnings".to_owned(), found.into());
                }
            } else {
                println!("{}: valid", path.display());
                for limit in settings.store.limits() {
                    println!("note: {limit}");
                }
                eprint!("{}", render(&found, places.source(), Style::for_stream(&stderr())));
            }
            ExitCode::SUCCESS
        }
        Err(faults) => {
            if !json {
                eprint!("{}", faults.render(Style::for_stream(&stderr())));
            }
            ExitCode::from(FAULTY)
        }
    };
    if json {
        println!("{told}");
    }
    status
}
