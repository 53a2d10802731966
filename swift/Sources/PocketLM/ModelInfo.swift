internal import PocketLMInternal

/// Facts about a model file.
public struct ModelInfo: Sendable, Hashable {
    /// The architecture, by the file's own name for it, such as `qwen2`.
    public let architecture: String
    /// The model's name, where the file has one.
    public let name: String?
    /// Weights, all tensors together.
    public let parameters: UInt64
    /// Bytes of the file, all shards together.
    public let fileBytes: UInt64
    /// Positions, in tokens, that the model was made for.
    public let context: Int?
    /// Number of layers.
    public let layers: Int?
    /// Elements of a hidden state.
    public let dimension: Int?
    /// Entries of the vocabulary.
    public let vocabulary: Int?
    /// The tokenizer's kind and, for byte-level BPE, its pre-tokenizer.
    public let tokenizer: String?
    /// Whether the file has a chat template.
    public let hasChatTemplate: Bool
    /// Tensors by block format, the largest share first.
    public let formats: [FormatShare]

    /// How much of a file one block format takes.
    public struct FormatShare: Sendable, Hashable {
        /// The format's name, such as `Q4_K`.
        public let name: String
        /// Tensors in it.
        public let tensors: Int
        /// Their bytes.
        public let bytes: UInt64
    }

    init(_ info: PocketLMInternal.ModelInfo) {
        architecture = info.architecture
        name = info.name
        parameters = info.parameters
        fileBytes = info.fileBytes
        context = info.context.map(Int.init(clamping:))
        layers = info.layers.map(Int.init(clamping:))
        dimension = info.dim.map(Int.init(clamping:))
        vocabulary = info.vocab.map(Int.init(clamping:))
        tokenizer = info.tokenizer
        hasChatTemplate = info.chatTemplate
        formats = info.types.map {
            FormatShare(name: $0.name, tensors: Int(clamping: $0.tensors), bytes: $0.bytes)
        }
    }
}

/// Something the library did that the app did not ask for.
public enum Notice: Sendable, Hashable {
    /// The CPU was chosen because the GPU could not be used.
    case deviceFallback(reason: String)
    /// The file has no chat template: prompts are sent as plain text, and answers may be poor.
    case noChatTemplate
    /// The context window is full: this many turns more than before are no longer sent to the model.
    case turnsDropped(turns: Int)
    /// Another one, in words.
    case other(message: String)

    init(_ notice: PocketLMInternal.Notice) {
        switch notice {
        case .deviceFallback(let reason): self = .deviceFallback(reason: reason)
        case .noChatTemplate: self = .noChatTemplate
        case .turnsDropped(let turns): self = .turnsDropped(turns: Int(clamping: turns))
        case .other(let message): self = .other(message: message)
        }
    }
}
