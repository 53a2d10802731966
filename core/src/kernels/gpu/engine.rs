//! The device: adapter, limits, and what every launch needs.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::{DType, Device, DeviceKind, Shape, Tensor, TensorData};
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{CubeBackend, CubeDevice};
use cubecl::client::Client;
use cubecl::future::block_on;
use cubecl::prelude::BufferArg;
use cubecl::server::Handle;
use cubecl::wgpu::{WgpuInitError, WgpuSetup, wgpu};

use super::launch::input;
use crate::error::{PocketError, Result};

/// Byte addresses inside a buffer are 32-bit in kernels; this leaves room for sums.
const ADDRESSABLE: u64 = 1 << 31;

/// A GPU ready to compute. Cloning shares it.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    /// The largest buffer that part of a matrix may have, in bytes.
    part_bytes: usize,
}

struct Shared {
    device: Device,
    cube: CubeDevice,
    client: Client,
    description: String,
    /// Whether the adapter is a rasterizer on the CPU, such as lavapipe.
    software: bool,
    /// Stands in for the arguments that a kernel variant does not read.
    nothing: Handle,
    grid_width: usize,
    binding_bytes: usize,
    /// The handles the device was opened with; absent when the app opened it.
    setup: Option<WgpuSetup>,
    /// Whether an operation has failed: the next engine then gets a fresh device.
    failed: AtomicBool,
}

/// The process's GPU: pipelines and memory pools belong to a device, so engines share one.
static SHARED: Mutex<Option<Arc<Shared>>> = Mutex::new(None);

impl Engine {
    /// The best adapter of this machine, opened at the first call and shared by later ones. When
    /// the device was lost meanwhile, a fresh one is opened; what was placed on the old one is
    /// gone and has to be placed again.
    ///
    /// # Errors
    /// [`PocketError::DeviceUnavailable`] when there is no adapter, or its driver refuses a device.
    pub fn new() -> Result<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = match &*shared {
            Some(open) if !open.failed.load(Ordering::Relaxed) => open.clone(),
            Some(lost) => opening(|| Shared::again(lost))?,
            None => opening(Shared::open)?,
        };
        *shared = Some(opened.clone());
        Ok(Self::of(opened))
    }

    /// A device of its own on the same adapter, which shares nothing with [`Engine::new`]'s.
    ///
    /// # Errors
    /// As [`Engine::new`].
    pub fn separate() -> Result<Self> {
        let first = Self::new()?;
        Ok(Self::of(opening(|| Shared::again(&first.shared))?))
    }

    fn of(shared: Arc<Shared>) -> Self {
        Self {
            part_bytes: shared.binding_bytes,
            shared,
        }
    }

    /// Destroys the device, as a driver reset would: for tests of what follows.
    pub fn lose(&self) {
        if let Some(setup) = &self.shared.setup {
            setup.device.destroy();
        }
    }

    /// The same device, splitting matrices into buffers of at most `bytes` even where the adapter
    /// would take larger ones: for tests of the split.
    pub fn with_part_bytes(mut self, bytes: usize) -> Self {
        self.part_bytes = bytes.min(self.shared.binding_bytes);
        self
    }

    /// The burn device that activations live on.
    pub fn device(&self) -> Device {
        self.shared.device.clone()
    }

    /// A sentence about adapter, graphics API, driver and shader features.
    pub fn describe(&self) -> String {
        self.shared.description.clone()
    }

    /// Whether the adapter is a rasterizer on the CPU, such as lavapipe: right, but no faster than
    /// the CPU it runs on.
    pub fn is_software(&self) -> bool {
        self.shared.software
    }

    /// The largest buffer a kernel can be given, in bytes.
    pub fn binding_bytes(&self) -> usize {
        self.shared.binding_bytes
    }

    /// Copies a tensor to the host once every launch before it has run.
    ///
    /// # Errors
    /// [`PocketError::DeviceLost`] when the device failed before or during the computation.
    pub fn read(&self, tensor: Tensor<2>) -> Result<Vec<f32>> {
        let tensor = tensor
            .try_into_primitive::<CubeBackend>()
            .map_err(|error| lost(format!("{error:?}")))?;
        let elements = tensor.meta.shape().num_elements();
        let bytes = self.guarded(|client| {
            client
                .read_one(tensor.handle)
                .map_err(|error| lost(error.to_string()))
        })?;
        let mut values = vec![0.0; elements];
        let bytes = bytes
            .get(..elements * 4)
            .ok_or_else(|| lost("a short read".into()))?;
        bytemuck::cast_slice_mut::<f32, u8>(&mut values).copy_from_slice(bytes);
        Ok(values)
    }

    /// Runs something that waits for the device. The device's thread re-raises what it panicked
    /// with (wgpu panics on validation errors and when it runs out of memory) where one waits.
    ///
    /// # Errors
    /// [`PocketError::DeviceLost`] for a panic, and at once after any such failure but a lack of
    /// memory, which a device survives.
    pub(super) fn guarded<T>(&self, task: impl FnOnce(&Client) -> Result<T>) -> Result<T> {
        if self.shared.failed.load(Ordering::Relaxed) {
            return Err(lost("the device failed before".into()));
        }
        let result = catch_unwind(AssertUnwindSafe(|| task(&self.shared.client)))
            .unwrap_or_else(|panic| Err(lost(text(&*panic))));
        if let Err(PocketError::DeviceLost { reason }) = &result
            && !lacks_memory(reason)
        {
            self.shared.failed.store(true, Ordering::Relaxed);
        }
        result
    }

    /// Where kernels are launched.
    pub(super) fn client(&self) -> &Client {
        &self.shared.client
    }

    /// An argument that the kernel variant does not read.
    pub(super) fn nothing(&self) -> BufferArg {
        input(&self.shared.nothing, 4)
    }

    /// Workgroups in one dimension of a grid.
    pub(super) fn grid_width(&self) -> usize {
        self.shared.grid_width
    }

    /// The largest buffer that part of a matrix may have, in bytes.
    pub(super) fn part_bytes(&self) -> usize {
        self.part_bytes
    }

    /// An uninitialized buffer of `len` f32, from the pool.
    pub(super) fn floats(&self, len: usize) -> Handle {
        self.client().empty(len * size_of::<f32>())
    }

    /// A buffer of `[n, width]` f32 as a tensor of this device.
    pub(super) fn tensor(&self, handle: Handle, n: usize, width: usize) -> CubeTensor {
        CubeTensor::new_contiguous(
            self.shared.client.clone(),
            self.shared.cube.clone(),
            Shape::new([n, width]),
            handle,
            DType::F32,
        )
    }
}

impl Shared {
    /// Opens the default adapter.
    fn open() -> Result<Self> {
        match Device::wgpu_options().init_with_setup() {
            Ok((device, setup)) => Self::with(device, Some(setup)),
            // An app that uses burn itself has opened the device already.
            Err(WgpuInitError::Registration { .. }) => {
                Self::with(Device::wgpu(DeviceKind::DefaultDevice), None)
            }
            Err(error) => Err(unavailable(error.to_string())),
        }
    }

    /// Opens another device on the adapter of an earlier one. The default selector names the first
    /// device for the rest of the process, so this one is registered from its handles.
    fn again(earlier: &Self) -> Result<Self> {
        let Some(setup) = &earlier.setup else {
            return Err(unavailable(
                "the app's own device cannot be opened again".into(),
            ));
        };
        if cfg!(feature = "vulkan") {
            // SPIR-V needs device extensions that only burn's own initialization asks for.
            return Err(unavailable(
                "a second device needs the WGSL compiler".into(),
            ));
        }
        let request = wgpu::RequestAdapterOptions {
            power_preference: wgpu::PowerPreference::HighPerformance,
            ..Default::default()
        };
        let adapter = block_on(setup.instance.request_adapter(&request))
            .map_err(|error| unavailable(error.to_string()))?;
        let descriptor = wgpu::DeviceDescriptor {
            required_features: adapter
                .features()
                .difference(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS)
                .difference(wgpu::Features::all_experimental_mask()),
            required_limits: adapter.limits(),
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        };
        let (device, queue) = block_on(adapter.request_device(&descriptor))
            .map_err(|error| unavailable(error.to_string()))?;
        let setup = WgpuSetup {
            instance: setup.instance.clone(),
            adapter,
            device,
            queue,
            backend: setup.backend,
        };
        let device = Device::wgpu_options().setup(setup.clone()).init();
        Self::with(
            device.map_err(|error| unavailable(error.to_string()))?,
            Some(setup),
        )
    }

    fn with(device: Device, setup: Option<WgpuSetup>) -> Result<Self> {
        // A tensor knows the backend's device and client.
        let probe = Tensor::<1>::from_data(TensorData::from([0.0f32; 4]), (&device, DType::F32));
        let probe = probe
            .try_into_primitive::<CubeBackend>()
            .map_err(|error| unavailable(format!("{error:?}")))?;
        let client = probe.client;
        let properties = client.properties();
        let hardware = &properties.hardware;
        let binding_bytes = properties.memory.max_page_size.min(ADDRESSABLE) as usize;
        let (api, driver, software) = setup.as_ref().map_or_else(Default::default, |setup| {
            let info = setup.adapter.get_info();
            let driver = format!("driver {} {}, ", info.driver, info.driver_info);
            let software = info.device_type == wgpu::DeviceType::Cpu;
            (info.backend.to_string(), driver, software)
        });
        let f16 = if properties.supports_type(half_type()) {
            "yes"
        } else {
            "no"
        };
        let description = format!(
            "{}, {api} ({}), {driver}subgroups of {} to {}, f16 {f16}, buffers to {} MiB",
            properties.identity.name,
            client.name(),
            hardware.plane_size_min,
            hardware.plane_size_max,
            binding_bytes >> 20,
        );
        let grid_width = hardware.max_cube_count.0.max(1) as usize;
        Ok(Self {
            device,
            cube: probe.device,
            client,
            description,
            software,
            nothing: probe.handle,
            grid_width,
            binding_bytes,
            setup,
            failed: AtomicBool::new(false),
        })
    }
}

/// Opens a device; drivers that panic are unavailable too.
fn opening(open: impl FnOnce() -> Result<Shared>) -> Result<Arc<Shared>> {
    let shared = catch_unwind(AssertUnwindSafe(open))
        .unwrap_or_else(|panic| Err(unavailable(text(&*panic))))?;
    Ok(Arc::new(shared))
}

/// The type whose support tells whether shaders can compute with halves.
fn half_type() -> cubecl::ir::ElemType {
    cubecl::ir::ElemType::Float(cubecl::ir::FloatKind::F16)
}

fn unavailable(reason: String) -> PocketError {
    PocketError::DeviceUnavailable {
        device: "gpu".into(),
        reason,
    }
}

fn lost(reason: String) -> PocketError {
    PocketError::DeviceLost { reason }
}

/// Whether wgpu's message says that an allocation was refused.
pub(super) fn lacks_memory(reason: &str) -> bool {
    reason.to_lowercase().contains("memory")
}

/// What a panic said.
fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("the device's thread panicked")
        .to_owned()
}
