package dev.pocketlm

import dev.pocketlm.internal.PocketException as BorderException
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** Each error of the border as the façade shows it. The texts come from Rust, so the library is needed. */
@NeedsRealModel
class PocketExceptionTest {
    private inline fun <reified T : PocketException> lifted(error: BorderException): T =
        assertInstanceOf(T::class.java, assertThrows(PocketException::class.java) { border { throw error } })

    @Test
    fun `errors about a model file keep their fields`() {
        val notFound = lifted<PocketException.ModelNotFound>(BorderException.ModelNotFound("a/b", "gone"))
        assertEquals("a/b" to "gone", notFound.path to notFound.reason)
        assertEquals("model not found: a/b (gone)", notFound.message)

        val unsupported = lifted<PocketException.UnsupportedModel>(BorderException.UnsupportedModel("mamba"))
        assertEquals("mamba", unsupported.what)

        val corrupt = lifted<PocketException.CorruptModel>(BorderException.CorruptModel("count 7", "byte 24"))
        assertEquals("count 7" to "byte 24", corrupt.what to corrupt.location)

        val template = lifted<PocketException.TemplateFailed>(BorderException.TemplateFailed("fuel"))
        assertEquals("fuel", template.reason)
    }

    @Test
    fun `errors about memory and space keep their numbers`() {
        val memory = lifted<PocketException.InsufficientMemory>(BorderException.InsufficientMemory(5_000_000_000UL, 3UL))
        assertEquals(5_000_000_000 to 3L, memory.needed to memory.available)
        assertEquals("not enough memory: 5000000000 bytes needed, 3 available", memory.message)

        val context = lifted<PocketException.ContextExceeded>(BorderException.ContextExceeded(4096UL, 5000UL))
        assertEquals(4096 to 5000, context.size to context.tokens)
    }

    @Test
    fun `errors about arguments name them as Kotlin does`() {
        val argument = lifted<PocketException.InvalidArgument>(BorderException.InvalidArgument("max_tokens", "is 0"))
        assertEquals("maxTokens" to "is 0", argument.name to argument.reason)

        val schema = lifted<PocketException.SchemaUnsupported>(BorderException.SchemaUnsupported("/properties/a"))
        assertEquals("/properties/a", schema.path)
    }

    @Test
    fun `errors about devices, tools and states`() {
        val unavailable = lifted<PocketException.DeviceUnavailable>(BorderException.DeviceUnavailable("gpu", "none"))
        assertEquals("gpu" to "none", unavailable.device to unavailable.reason)
        assertEquals("reset", lifted<PocketException.DeviceLost>(BorderException.DeviceLost("reset")).reason)
        val tool = lifted<PocketException.ToolFailed>(BorderException.ToolFailed("weather", "rain"))
        assertEquals("weather" to "rain", tool.name to tool.reason)
        assertTrue(lifted<PocketException.Busy>(BorderException.Busy()).message.orEmpty().startsWith("busy"))
        assertEquals("closed", lifted<PocketException.Closed>(BorderException.Closed()).message)
        assertEquals("bug", lifted<PocketException.Internal>(BorderException.Internal("bug")).reason)
    }

    @Test
    fun `a handle that was destroyed is closed, other failures stay what they are`() {
        assertThrows(PocketException.Closed::class.java) {
            border { error("ModelSession object has already been destroyed") }
        }
        val other = assertThrows(IllegalStateException::class.java) { border { error("else") } }
        assertEquals("else", other.message)
    }
}
