use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use portcullis_idp::{Idp, IdpConfig};
use portcullis_jose::SystemClock;

use super::failure::{Failure, finish};
use crate::serve::{runtime, signalled};

/// Runs the development provider alone.
pub(super) fn run(path: &Path, json: bool) -> ExitCode {
    let config = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))
        .and_then(|text| toml::from_str::<IdpConfig>(&text).map_err(|error| format!("{}: {error}", path.display())));
    let config = config.map_err(|why| Failure::wrong(why.trim_end()));
    finish(config.and_then(|config| Ok(serve(config, json)?)), json)
}

fn serve(config: IdpConfig, json: bool) -> Result<(), String> {
    runtime(None)?.block_on(async {
        let idp = Idp::start(config, Arc::new(SystemClock))
            .await
            .map_err(|error| error.to_string())?;
        if json {
            let line = serde_json::json!({ "issuer": idp.issuer(), "admin_token": idp.control().admin_token() });
            println!("{line}");
        } else {
            println!(
                "Development provider, for tests and demonstrations only\n  issuer  {}\nWith --json the token of its /dev/ endpoints is printed too.",
                idp.issuer()
            );
        }
        signalled().await;
        idp.shutdown().await;
        Ok(())
    })
}
