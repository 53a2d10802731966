package dev.pocketlm

import kotlin.time.TimeSource
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.condition.EnabledIfEnvironmentVariable

/** What the border costs. A measurement, for a machine that does nothing else: POCKETLM_BENCH=1. */
@NeedsRealModel
@EnabledIfEnvironmentVariable(named = "POCKETLM_BENCH", matches = "1")
class BorderSpeedTest {
    private val prompt = "Tell me a long story about a lighthouse."
    private val tokens = 128
    private val options = greedy(tokens)

    @Test
    fun `a stream through Kotlin is as fast as one in Rust`() = runBlocking<Unit> {
        here()
        val rounds = List(6) { here() to there() }
        val kotlin = rounds.map { it.first }.sorted()
        val rust = rounds.map { it.second }.sorted()
        println("tok/s through Kotlin ${kotlin.map { "%.1f".format(it) }}, in Rust ${rust.map { "%.1f".format(it) }}")
        val share = kotlin.last() / rust.last()
        println("best through Kotlin over best in Rust: ${"%.3f".format(share)}")
        assertTrue(share >= 0.97, "only $share of Rust's speed")
    }

    /** As a collector sees it: from the first piece of text to the end. */
    private suspend fun here(): Double = RealModel.chat { session ->
        var first: TimeSource.Monotonic.ValueTimeMark? = null
        var usage: Usage? = null
        session.stream(prompt, options).collect { event ->
            if (event is Event.Text && first == null) first = TimeSource.Monotonic.markNow()
            if (event is Event.Done) usage = event.usage
        }
        val seconds = checkNotNull(first).elapsedNow().inWholeMicroseconds / 1e6
        (checkNotNull(usage).generatedTokens - 1) / seconds
    }

    /** The command line program's own figure: from the first token to the last. */
    private fun there(): Double {
        val command = listOf(
            RealModel.program.toString(), "run", RealModel.path, prompt, "--system", RealModel.BRIEF,
            "--greedy", "-n", "$tokens", "--device", "cpu", "--json",
        )
        val process = ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.DISCARD).start()
        val output = process.inputStream.readBytes().decodeToString()
        check(process.waitFor() == 0) { output }
        val figure = Regex("\"decode_tokens_per_s\"\\s*:\\s*([0-9.]+)").findAll(output).last()
        return figure.groupValues[1].toDouble()
    }
}
