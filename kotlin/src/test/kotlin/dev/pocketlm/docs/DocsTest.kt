package dev.pocketlm.docs

import java.io.File
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class DocsTest {
    @Test
    fun `the code in the documentation is the code that was compiled`() {
        val compiled = lines(File("src/test/kotlin/dev/pocketlm/docs/Snippets.kt").readText())
        val page = File("../docs/kotlin.md").readText()
        val blocks = Regex("```kotlin\n(.*?)```", RegexOption.DOT_MATCHES_ALL).findAll(page).map { it.groupValues[1] }.toList()
        assertTrue(blocks.size >= 7, "only ${blocks.size} blocks found")
        for (block in blocks) {
            assertTrue(compiled.contains(lines(block)), "not in Snippets.kt:\n$block")
        }
    }

    /** Code without its indentation. */
    private fun lines(code: String): String = code.trim().lines().joinToString("\n") { it.trim() }
}
