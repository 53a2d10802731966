//! A file over HTTPS, continued by `Range` requests where it broke off.

use std::io::Read;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use ureq::config::Config;
use ureq::http::{Response, StatusCode, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::meter::Meter;
use super::part_file::{PartFile, explain_disk_full};

/// Tries in a row that bring no byte before the source counts as failed.
const FRUITLESS_TRIES: u32 = 4;

/// Completes `part` from `url`, whose file has `total` bytes.
///
/// A connection that breaks is taken up again; a server that cannot be reached at all fails at once.
///
/// # Errors
/// No connection, a status other than success, a file of another length, or a failed write.
pub fn fetch(url: &str, total: u64, part: &mut PartFile, meter: &mut Meter) -> Result<()> {
    let agent = agent();
    let mut fruitless = 0;
    loop {
        meter.set(part.len());
        let before = part.len();
        if before == total {
            return Ok(());
        }
        let response = match request(&agent, url, before) {
            Ok(response) => response,
            Err(Refusal::Final(error)) => return Err(error),
            Err(Refusal::Passing(error)) => {
                wait(&mut fruitless, before == 0, error)?;
                continue;
            }
        };
        match receive(response, total, part, meter) {
            Ok(()) => return Ok(()),
            Err(Broken::Write(error)) => {
                return Err(explain_disk_full(error, total - part.len().min(total)));
            }
            Err(Broken::Source(error)) => return Err(error),
            Err(Broken::Connection(error)) => {
                if part.len() > before {
                    fruitless = 0;
                }
                wait(&mut fruitless, false, error)?;
            }
        }
    }
}

/// Waits before the next try, or gives up with `error`.
fn wait(fruitless: &mut u32, at_once: bool, error: anyhow::Error) -> Result<()> {
    *fruitless += 1;
    if at_once || *fruitless >= FRUITLESS_TRIES {
        return Err(error);
    }
    sleep(Duration::from_millis(250 << *fruitless));
    Ok(())
}

fn agent() -> Agent {
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .build();
    let config: Config = Agent::config_builder()
        .http_status_as_error(false)
        .tls_config(tls)
        .user_agent(concat!("pocketlm/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(Some(Duration::from_secs(10)))
        .timeout_connect(Some(Duration::from_secs(15)))
        .timeout_recv_response(Some(Duration::from_secs(30)))
        .timeout_per_read(Some(Duration::from_secs(30)))
        .build();
    config.new_agent()
}

/// Why there is no response to read from.
enum Refusal {
    /// Another try cannot help.
    Final(anyhow::Error),
    /// Another try may help.
    Passing(anyhow::Error),
}

fn request(agent: &Agent, url: &str, from: u64) -> Result<Response<Body>, Refusal> {
    let mut request = agent.get(url).header("accept-encoding", "identity");
    if from > 0 {
        request = request.header("range", format!("bytes={from}-"));
    }
    let response = request
        .call()
        .map_err(|error| Refusal::Passing(anyhow!(error)))?;
    let status = response.status();
    if status.is_success() || status == StatusCode::RANGE_NOT_SATISFIABLE {
        return Ok(response);
    }
    let error = anyhow!("the server answered {status}");
    match status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        true => Err(Refusal::Passing(error)),
        false => Err(Refusal::Final(error)),
    }
}

/// Why a response was not read to its end.
enum Broken {
    /// The connection ended early: what arrived is kept, and the rest can be asked for.
    Connection(anyhow::Error),
    /// The server has something else than the file expected.
    Source(anyhow::Error),
    /// The file could not be written.
    Write(anyhow::Error),
}

/// Appends the body to `part`, after checking that it is the continuation asked for.
fn receive(
    response: Response<Body>,
    total: u64,
    part: &mut PartFile,
    meter: &mut Meter,
) -> Result<(), Broken> {
    let continues = response.status() == StatusCode::PARTIAL_CONTENT;
    let whole = if continues {
        let (from, whole) = content_range(&response).map_err(Broken::Source)?;
        if from != part.len() {
            return Err(Broken::Source(anyhow!(
                "the server sent bytes from {from}, not from {}",
                part.len()
            )));
        }
        whole
    } else {
        // The server cannot continue the file, or has no such range: it starts again.
        part.clear().map_err(Broken::Write)?;
        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            return Err(Broken::Connection(anyhow!("the server has no such range")));
        }
        response.body().content_length()
    };
    if let Some(whole) = whole.filter(|&whole| whole != total) {
        return Err(Broken::Source(anyhow!(
            "the file there has {whole} bytes, not {total}: it is another one"
        )));
    }
    let mut body = response.into_body().into_reader();
    let mut buffer = vec![0; 1 << 18];
    while part.len() < total {
        let n = match body.read(&mut buffer) {
            Ok(0) => {
                return Err(Broken::Connection(anyhow!(
                    "the connection ended at byte {}",
                    part.len()
                )));
            }
            Ok(n) => n,
            Err(error) => {
                return Err(Broken::Connection(
                    anyhow!(error).context("the connection broke"),
                ));
            }
        };
        if part.len() + n as u64 > total {
            return Err(Broken::Source(anyhow!(
                "the file there has more than {total} bytes"
            )));
        }
        part.append(&buffer[..n]).map_err(Broken::Write)?;
        meter.set(part.len());
    }
    Ok(())
}

/// First byte and total length of `content-range: bytes 5-9/10`; the total may be `*`.
fn content_range(response: &Response<Body>) -> Result<(u64, Option<u64>)> {
    let value = response.headers().get(header::CONTENT_RANGE);
    let value = value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let parsed = value.strip_prefix("bytes ").and_then(|range| {
        let (range, total) = range.split_once('/')?;
        let from = range.split_once('-')?.0.trim().parse().ok()?;
        Some((from, total))
    });
    let Some((from, total)) = parsed else {
        bail!("the server sent the range `{value}`, which is none");
    };
    match total.trim() {
        "*" => Ok((from, None)),
        total => {
            let total = total
                .parse()
                .with_context(|| format!("the server sent the range `{value}`"))?;
            Ok((from, Some(total)))
        }
    }
}
