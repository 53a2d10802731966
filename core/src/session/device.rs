//! Where a model runs, and how `auto` decides.

use std::fmt;
use std::str::FromStr;

use crate::error::{PocketError, Result};
use crate::kernels::{Compute, KvType, cpu};

use super::event::Notice;
use super::load::LoadOptions;

/// Where a model runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The GPU when there is a real one, else the CPU, with a [`Notice`].
    #[default]
    Auto,
    /// SIMD kernels on the CPU.
    Cpu,
    /// burn-wgpu; an error when it cannot be used.
    Gpu,
    /// The slow, exact evaluator: unquantized activations, f64 sums.
    Reference,
}

/// Every choice with its name.
const NAMES: &[(&str, DeviceChoice)] = &[
    ("auto", DeviceChoice::Auto),
    ("cpu", DeviceChoice::Cpu),
    ("gpu", DeviceChoice::Gpu),
    ("reference", DeviceChoice::Reference),
];

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = NAMES.iter().find(|row| row.1 == *self);
        f.write_str(row.map_or("auto", |row| row.0))
    }
}

impl FromStr for DeviceChoice {
    type Err = PocketError;

    fn from_str(name: &str) -> Result<Self> {
        let row = NAMES.iter().find(|row| row.0 == name);
        row.map(|row| row.1).ok_or_else(|| {
            let names: Vec<&str> = NAMES.iter().map(|row| row.0).collect();
            PocketError::invalid("device", format!("{name} is none of {}", names.join(", ")))
        })
    }
}

/// The engine for the options' device, and what to tell the caller about it.
///
/// # Errors
/// [`PocketError::DeviceUnavailable`] when the device is the GPU and there is none;
/// [`PocketError::InvalidArgument`] for an option that the device cannot have.
pub fn open(options: &LoadOptions) -> Result<(Compute, Option<Notice>)> {
    if options.threads == Some(0) {
        return Err(PocketError::invalid("threads", "0 threads cannot compute"));
    }
    if let Some(level) = options.cpu_level
        && !level.available()
    {
        let reason = format!("this CPU has no {level}");
        return Err(PocketError::invalid("cpu level", reason));
    }
    let cpu = || {
        let threads = options.threads.unwrap_or_else(cpu::Engine::default_threads);
        let level = options.cpu_level.unwrap_or_else(cpu::Level::detect);
        cpu::Engine::with_level(threads, level).with_kv(options.kv)
    };
    let gpu = || match options.kv {
        KvType::F16 => gpu(),
        kv => Err(PocketError::invalid(
            "kv",
            format!("a GPU keeps keys and values in f16, not in {kv}"),
        )),
    };
    match options.device {
        DeviceChoice::Cpu => Ok((Compute::Cpu(cpu()), None)),
        DeviceChoice::Reference => Ok((Compute::Reference(cpu()), None)),
        DeviceChoice::Gpu => gpu().map(|compute| (compute, None)),
        DeviceChoice::Auto => match gpu().and_then(refuse_software) {
            Ok(compute) => Ok((compute, None)),
            Err(error) => {
                let reason = error.to_string();
                Ok((Compute::Cpu(cpu()), Some(Notice::DeviceFallback { reason })))
            }
        },
    }
}

#[cfg(feature = "gpu")]
fn gpu() -> Result<Compute> {
    crate::kernels::gpu::Engine::new().map(Compute::Gpu)
}

#[cfg(not(feature = "gpu"))]
fn gpu() -> Result<Compute> {
    Err(PocketError::DeviceUnavailable {
        device: "gpu".into(),
        reason: "this build has no GPU support".into(),
    })
}

/// A rasterizer on the CPU passes for a GPU but is slower than the CPU kernels.
fn refuse_software(compute: Compute) -> Result<Compute> {
    #[cfg(feature = "gpu")]
    if let Compute::Gpu(engine) = &compute
        && engine.is_software()
    {
        return Err(PocketError::DeviceUnavailable {
            device: "gpu".into(),
            reason: format!("{} is a software rasterizer", engine.describe()),
        });
    }
    Ok(compute)
}
