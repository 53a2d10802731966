package dev.pocketlm

import dev.pocketlm.internal.DeviceChoice as BorderDeviceChoice
import dev.pocketlm.internal.KvType as BorderKvType
import dev.pocketlm.internal.LoadOptions as BorderLoadOptions

/** How to load a model; what is not said is the library's default. */
public class LoadOptions private constructor(builder: Builder) {
    /** Where to run. */
    public val device: DeviceChoice = builder.device

    /** CPU threads; null for as many as the process may run at once. */
    public val threads: Int? = builder.threads

    /** Positions that a session may use; null for 4096, or what the model was made for if that is less. */
    public val context: Int? = builder.context

    /** How a session's memory is kept. */
    public val kv: KvType = builder.kv

    /** Collects the options of a load. */
    @PocketDsl
    public class Builder internal constructor() {
        /** Where to run. */
        public var device: DeviceChoice = DeviceChoice.Auto

        /** CPU threads; null for as many as the process may run at once. */
        public var threads: Int? = null

        /** Positions that a session may use; null for 4096, or what the model was made for if that is less. */
        public var context: Int? = null

        /** How a session's memory is kept. */
        public var kv: KvType = KvType.F16

        internal fun build(): LoadOptions = LoadOptions(this)
    }

    public companion object {
        /** Options in a block: `LoadOptions { device = DeviceChoice.Cpu }`. */
        public operator fun invoke(build: Builder.() -> Unit = {}): LoadOptions = Builder().apply(build).build()
    }
}

/** Where a model runs. */
public enum class DeviceChoice {
    /** The GPU when there is a real one, else the CPU, with a [Notice.DeviceFallback]. */
    Auto,

    /** The CPU. */
    Cpu,

    /** The GPU; [PocketException.DeviceUnavailable] when it cannot be used. */
    Gpu,

    /** A slow and exact evaluator, for comparisons. */
    Reference,
}

/** How a session's keys and values are kept in memory. */
public enum class KvType {
    /** Two bytes an element. */
    F16,

    /** About one byte an element: half the memory, slightly less exact. On the CPU only. */
    Q8,

    /** Four bytes an element. On the CPU only. */
    F32,
}

internal fun LoadOptions.lower(): BorderLoadOptions = BorderLoadOptions(
    device = when (device) {
        DeviceChoice.Auto -> BorderDeviceChoice.AUTO
        DeviceChoice.Cpu -> BorderDeviceChoice.CPU
        DeviceChoice.Gpu -> BorderDeviceChoice.GPU
        DeviceChoice.Reference -> BorderDeviceChoice.REFERENCE
    },
    threads = threads?.lower("threads"),
    context = context?.lower("context"),
    kv = when (kv) {
        KvType.F16 -> BorderKvType.F16
        KvType.Q8 -> BorderKvType.Q8_0
        KvType.F32 -> BorderKvType.F32
    },
)
