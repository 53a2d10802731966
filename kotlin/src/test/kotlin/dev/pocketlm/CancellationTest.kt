package dev.pocketlm

import java.util.concurrent.Executors
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlin.time.TimeSource
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.TimeoutCancellationException
import kotlinx.coroutines.asCoroutineDispatcher
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.flowOn
import kotlinx.coroutines.flow.onEach
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.test.runTest
import kotlinx.coroutines.withContext
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** Answers that are stopped, and answers that run beside others. */
@NeedsRealModel
class CancellationTest {
    private val long = "Count from 1 to 1000, one number on each line."

    /** What a session that was never disturbed answers. */
    private suspend fun undisturbed(): String = RealModel.chat { it.respond("Say only: yes", greedy(8)).text }

    /** The session has forgotten the disturbed turn, and goes on as if it had never been. */
    private suspend fun assertUntouched(session: ModelSession) {
        assertEquals(listOf(Role.System), session.transcript().map { it.role })
        assertEquals(undisturbed(), session.respond("Say only: yes", greedy(8)).text)
    }

    @Test
    fun `a cancelled coroutine stops the answer and waits for it`() = runBlocking<Unit> {
        RealModel.chat { session ->
            val begun = CompletableDeferred<Unit>()
            val job = launch(Dispatchers.Default) {
                session.stream(long, greedy(2000)).collect { if (it is Event.Text) begun.complete(Unit) }
            }
            begun.await()
            val start = TimeSource.Monotonic.markNow()
            job.cancelAndJoin()
            assertTrue(start.elapsedNow() < 5.seconds, "stopped after ${start.elapsedNow()}")
            // It was waited for: otherwise the session would be busy.
            assertUntouched(session)
        }
    }

    @Test
    fun `respond is cancelled as well`() = runBlocking<Unit> {
        RealModel.chat { session ->
            assertThrows(TimeoutCancellationException::class.java) {
                runBlocking { withTimeout(400.milliseconds) { session.respond(long, greedy(2000)) } }
            }
            assertUntouched(session)
        }
    }

    @Test
    fun `cancelling before the first token stops the reading of the prompt`() = runBlocking<Unit> {
        RealModel.chat { session ->
            val prompt = "Summarize: " + "the quick brown fox jumps over the lazy dog. ".repeat(250)
            val job = launch(Dispatchers.Default) { session.respond(prompt, greedy(2000)) }
            delay(150)
            val start = TimeSource.Monotonic.markNow()
            job.cancelAndJoin()
            assertTrue(start.elapsedNow() < 5.seconds, "stopped after ${start.elapsedNow()}")
            assertUntouched(session)
        }
    }

    @Test
    fun `a stream that is left early stops the answer`() = runBlocking<Unit> {
        RealModel.chat { session ->
            val events = session.stream(long, greedy(2000)).take(3).toList()
            assertEquals(3, events.size)
            assertInstanceOf(Event.Text::class.java, session.stream(long, greedy(2000)).first())
            assertUntouched(session)
        }
    }

    @Test
    fun `a collector that fails stops the answer, and its exception arrives`() = runBlocking<Unit> {
        RealModel.chat { session ->
            val failure = runCatching { session.stream(long, greedy(2000)).collect { error("no more paper") } }
            assertEquals("no more paper", failure.exceptionOrNull()?.message)
            assertUntouched(session)
        }
    }

    @Test
    fun `the stop button ends the answer with its last event`() = runBlocking<Unit> {
        RealModel.chat { session ->
            val events = session.stream(long, greedy(2000)).onEach { if (it is Event.Text) session.cancel() }.toList()
            val done = assertInstanceOf(Event.Done::class.java, events.last())
            assertEquals(FinishReason.Cancelled, done.finish)
            assertTrue(done.usage.generatedTokens < 1000, done.usage.toString())
            assertUntouched(session)
        }
    }

    @Test
    fun `a stop button that nobody needs does nothing`() = runBlocking<Unit> {
        RealModel.chat { session ->
            session.cancel()
            assertUntouched(session)
        }
    }

    @Test
    fun `a second answer at the same time is refused`() = runBlocking<Unit> {
        RealModel.chat { session ->
            var second: Throwable? = null
            var transcript: Throwable? = null
            session.stream(long, greedy(2000)).onEach {
                second = runCatching { session.respond("Hi", greedy(1)) }.exceptionOrNull()
                transcript = runCatching { session.transcript() }.exceptionOrNull()
            }.first()
            assertInstanceOf(PocketException.Busy::class.java, second)
            assertInstanceOf(PocketException.Busy::class.java, transcript)
            assertUntouched(session)
        }
    }

    @Test
    fun `closing a session during an answer ends it`() = runBlocking<Unit> {
        val session = RealModel.model.session()
        val events = session.stream(long, greedy(2000)).onEach { if (it is Event.Text) session.close() }.toList()
        assertEquals(FinishReason.Cancelled, (events.last() as Event.Done).finish)
    }

    @Test
    fun `closing a model during answers ends them`() = runBlocking<Unit> {
        val model = RealModel.load()
        val begun = List(3) { CompletableDeferred<Unit>() }
        val answers = begun.map { signal ->
            async(Dispatchers.Default) {
                model.session().stream(long, greedy(2000)).onEach { signal.complete(Unit) }.toList()
            }
        }
        begun.awaitAll()
        withTimeout(10.seconds) { model.closeAndJoin() }
        for (events in answers.awaitAll()) {
            assertEquals(FinishReason.Cancelled, (events.last() as Event.Done).finish)
        }
    }

    @Test
    fun `the caller's only thread is free while the model works`() = runBlocking<Unit> {
        Executors.newSingleThreadExecutor().asCoroutineDispatcher().use { single ->
            withContext(single) {
                RealModel.chat { session ->
                    var longest = Duration.ZERO
                    val heartbeat = launch {
                        while (true) {
                            val start = TimeSource.Monotonic.markNow()
                            delay(5)
                            longest = maxOf(longest, start.elapsedNow())
                        }
                    }
                    session.respond("Tell me about the sea.", greedy(24))
                    heartbeat.cancelAndJoin()
                    assertTrue(longest < 250.milliseconds, "blocked for $longest")
                }
            }
        }
    }

    @Test
    fun `any dispatcher will do`() = runBlocking<Unit> {
        val expected = undisturbed()
        for (dispatcher in listOf(Dispatchers.Unconfined, Dispatchers.IO, Dispatchers.Default)) {
            val text = withContext(dispatcher) { undisturbed() }
            assertEquals(expected, text)
        }
        val moved = RealModel.chat { it.stream("Say only: yes", greedy(8)).flowOn(Dispatchers.IO).toList() }
        assertEquals(expected, moved.text())
    }

    @Test
    fun `a test's virtual time is no obstacle`() = runTest {
        assertTrue(undisturbed().isNotEmpty())
    }

    @Test
    fun `a slow collector misses nothing`() = runBlocking<Unit> {
        val fast = RealModel.chat { it.respond("Name three rivers.", greedy(20)).text }
        val slow = RealModel.chat { session ->
            session.stream("Name three rivers.", greedy(20)).onEach { delay(20) }.toList()
        }
        assertEquals(fast, slow.text())
    }

    @Test
    fun `a hundred conversations at once`() = runBlocking<Unit>(Dispatchers.Default) {
        val expected = RealModel.chat { it.respond("Hi", greedy(3)).text }
        val answers = List(100) { async { RealModel.chat { it.respond("Hi", greedy(3)).text } } }.awaitAll()
        assertEquals(List(100) { expected }, answers)
    }

    @Test
    fun `a thousand answers begun and cancelled leave nothing behind`() = runBlocking<Unit> {
        RealModel.chat { session ->
            suspend fun cycles(count: Int) = repeat(count) { round ->
                // Some at once, some at their first event; none is over by itself before.
                if (round % 4 == 0) {
                    session.stream(long, greedy(1000)).first()
                } else {
                    val job = launch(Dispatchers.Default) { session.stream(long, greedy(1000)).collect {} }
                    job.cancelAndJoin()
                }
            }
            cycles(100)
            val before = Footprint.now()
            cycles(1000)
            val after = Footprint.now()
            // Threads of the dispatcher and of JNA come and go by a few.
            assertTrue(after.threads <= before.threads + 8, "$before, then $after")
            assertTrue(after.files <= before.files + 8, "$before, then $after")
            assertTrue(after.residentMegabytes <= before.residentMegabytes + 64, "$before, then $after")
            assertUntouched(session)
        }
    }

    /** What this process holds, by Linux's account. */
    private data class Footprint(val threads: Int, val files: Int, val residentMegabytes: Long) {
        companion object {
            fun now(): Footprint {
                System.gc()
                val status = java.io.File("/proc/self/status").takeIf { it.exists() }?.readLines().orEmpty()
                fun field(name: String) = status.find { it.startsWith("$name:") }?.filter(Char::isDigit)?.toLong() ?: 0
                val files = java.io.File("/proc/self/fd").list()?.size ?: 0
                return Footprint(field("Threads").toInt(), files, field("VmRSS") / 1024)
            }
        }
    }

    @Test
    fun `cancellation is nothing of ours`() = runBlocking<Unit> {
        RealModel.chat { session ->
            val caught = CompletableDeferred<Throwable>()
            val job = launch(Dispatchers.Default) {
                try {
                    session.respond(long, greedy(2000))
                } catch (cancelled: CancellationException) {
                    caught.complete(cancelled)
                    throw cancelled
                }
            }
            delay(200)
            job.cancelAndJoin()
            assertInstanceOf(CancellationException::class.java, caught.await())
            Unit
        }
    }
}
