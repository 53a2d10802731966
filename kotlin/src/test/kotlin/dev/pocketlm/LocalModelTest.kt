package dev.pocketlm

import java.io.ByteArrayOutputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.file.Files
import java.nio.file.Path
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.cancel
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertSame
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

@NeedsRealModel
class LocalModelTest {
    @TempDir
    lateinit var folder: Path

    private suspend inline fun <reified T : PocketException> loadError(path: String, options: LoadOptions = LoadOptions()): T =
        assertInstanceOf(T::class.java, runCatching { LocalModel.load(path, options) }.exceptionOrNull())

    @Test
    fun `a model tells what it is and where it runs`() {
        val model = RealModel.model
        assertEquals("qwen2", model.info.architecture)
        assertTrue(model.info.supported && model.info.chatTemplate)
        assertEquals(24, model.info.layers)
        assertTrue(model.info.parameters in 400_000_000L..700_000_000L, model.info.toString())
        assertEquals(RealModel.file?.length(), model.info.fileBytes)
        assertTrue(model.info.types.any { it.name == "Q4_K" && it.bytes > 0 })
        assertEquals("cpu", model.deviceName)
        assertTrue(model.device.isNotEmpty())
        assertEquals(4096, model.context)
        assertEquals(emptyList<Notice>(), model.notices)
    }

    @Test
    fun `a missing file`() = runBlocking<Unit> {
        val error = loadError<PocketException.ModelNotFound>("/no/such/file.gguf")
        assertEquals("/no/such/file.gguf", error.path)
        assertTrue(error.reason.isNotEmpty() && error.message.orEmpty().contains(error.reason))
    }

    @Test
    fun `a file that is no model`() = runBlocking<Unit> {
        val path = folder.resolve("text.gguf")
        Files.writeString(path, "This is not a model. ".repeat(100))
        val error = loadError<PocketException.CorruptModel>(path.toString())
        assertTrue(error.what.isNotEmpty() && error.location.isNotEmpty(), error.message)
    }

    @Test
    fun `a model that was cut off`() = runBlocking<Unit> {
        val path = folder.resolve("cut.gguf")
        Files.newInputStream(Path.of(RealModel.path)).use { Files.write(path, it.readNBytes(1_000_000)) }
        loadError<PocketException.CorruptModel>(path.toString())
    }

    @Test
    fun `an architecture that this runtime does not know`() = runBlocking<Unit> {
        val path = folder.resolve("new.gguf")
        Files.write(path, header("general.architecture" to "sphinx"))
        val error = loadError<PocketException.UnsupportedModel>(path.toString())
        assertTrue(error.what.contains("sphinx"), error.message)
    }

    @Test
    fun `options outside their domain are named`() = runBlocking<Unit> {
        for ((name, options) in listOf(
            "context" to LoadOptions { context = 0 },
            "threads" to LoadOptions { threads = 0; device = DeviceChoice.Cpu },
            "threads" to LoadOptions { threads = -1 },
        )) {
            assertEquals(name, loadError<PocketException.InvalidArgument>(RealModel.path, options).name)
        }
    }

    @Test
    fun `a path may have any letters`() = runBlocking<Unit> {
        val path = folder.resolve("модель 模型 🦜.gguf")
        Files.createSymbolicLink(path, Path.of(RealModel.path))
        LocalModel.load(path.toString()) { device = DeviceChoice.Cpu }.closeAndJoin()
    }

    @Test
    fun `a load that is watched ends as ready`() = runBlocking<Unit> {
        val scope = CoroutineScope(Dispatchers.Default + Job())
        val load = LocalModel.loadIn(scope, RealModel.path, LoadOptions { device = DeviceChoice.Cpu })
        val model = load.await()
        assertSame(model, assertInstanceOf(LoadState.Ready::class.java, load.state.value).model)
        model.close()
        scope.cancel()
    }

    @Test
    fun `a load that fails is a state, and leaves its scope alone`() = runBlocking<Unit> {
        val scope = CoroutineScope(Dispatchers.Default + Job())
        val load = LocalModel.loadIn(scope, "/no/such/file.gguf")
        val state = withTimeout(10.seconds) { load.state.first { it !is LoadState.Loading } }
        val error = assertInstanceOf(LoadState.Failed::class.java, state).error
        assertInstanceOf(PocketException.ModelNotFound::class.java, error)
        assertSame(error, runCatching { load.await() }.exceptionOrNull())
        assertTrue(scope.coroutineContext[Job]?.isActive == true)
        scope.cancel()
    }

    @Test
    fun `a load that is cancelled says so`() = runBlocking<Unit> {
        val scope = CoroutineScope(Dispatchers.Default + Job())
        scope.cancel()
        val load = LocalModel.loadIn(scope, RealModel.path)
        val state = withTimeout(10.seconds) { load.state.first { it !is LoadState.Loading } }
        assertEquals(LoadState.Cancelled, state)
    }

    @Test
    fun `what is used after the model was closed says so`() = runBlocking<Unit> {
        val model = RealModel.load()
        val session = model.session()
        assertFalse(model.isClosed)
        model.closeAndJoin()
        model.close()
        assertTrue(model.isClosed)
        assertInstanceOf(PocketException.Closed::class.java, runCatching { model.session() }.exceptionOrNull())
        val answer = runCatching { session.respond("Hi", greedy(1)) }
        assertInstanceOf(PocketException.Closed::class.java, answer.exceptionOrNull())
        // Facts need no model.
        assertEquals("qwen2", model.info.architecture)
        session.close()
    }

    /** A GGUF version 3 file without tensors. */
    private fun header(vararg entries: Pair<String, String>): ByteArray {
        val out = ByteArrayOutputStream()
        fun number(value: Long, bytes: Int) {
            out.write(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(value).array(), 0, bytes)
        }
        fun text(value: String) {
            number(value.length.toLong(), 8)
            out.write(value.toByteArray())
        }
        out.write("GGUF".toByteArray())
        number(3, 4)
        number(0, 8)
        number(entries.size.toLong(), 8)
        for ((key, value) in entries) {
            text(key)
            number(8, 4)
            text(value)
        }
        return out.toByteArray()
    }
}
