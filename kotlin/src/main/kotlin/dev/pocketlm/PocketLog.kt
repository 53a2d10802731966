package dev.pocketlm

import dev.pocketlm.internal.LogLevel as BorderLogLevel
import dev.pocketlm.internal.LogSink as BorderLogSink
import dev.pocketlm.internal.setLogSink

/** How much a message of the library matters. */
public enum class LogLevel {
    /** Something failed. */
    Error,

    /** Something is not as it should be. */
    Warn,

    /** What an app's developer may want to know. */
    Info,

    /** For finding faults. */
    Debug,

    /** Every step. */
    Trace,
}

/**
 * Takes the library's messages. Called on any thread of the library, which waits for it: it must be quick and may not
 * call the library. What it throws is ignored.
 */
public fun interface LogSink {
    /** Takes one [message] of the part of the library that [target] names. */
    public fun log(level: LogLevel, target: String, message: String)
}

/** What the library says while it works, for the app's own log; silent unless asked. */
public object PocketLog {
    /**
     * Sends messages at [level] and above to [sink], in place of an earlier one; null ends that. One for the process.
     *
     * @throws PocketException.InvalidArgument when something else in the process takes them already
     */
    public fun setSink(sink: LogSink?, level: LogLevel = LogLevel.Info) {
        border { setLogSink(sink?.let(::Forward), BorderLogLevel.entries[level.ordinal]) }
    }

    private class Forward(private val sink: LogSink) : BorderLogSink {
        override fun log(level: BorderLogLevel, target: String, message: String) {
            sink.log(LogLevel.entries[level.ordinal], target, message)
        }
    }
}
