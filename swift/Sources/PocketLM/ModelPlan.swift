internal import PocketLMInternal

/// What a model will need, before it is loaded. All sizes are in bytes.
public struct ModelPlan: Sendable, Hashable {
    /// Whether weights and caches go to a GPU.
    public let usesGPU: Bool
    /// How keys and values would be kept.
    public let cache: LoadOptions.CacheType
    /// Positions, in tokens, of a session.
    public let context: Int
    /// CPU threads.
    public let threads: Int
    /// Weights that stay in the mapped file: pages that the system may drop and read again.
    public let mappedWeights: UInt64
    /// Weights in private memory: norms and biases; on a GPU all of them, in its memory.
    public let privateWeights: UInt64
    /// Vocabulary and merges.
    public let tokenizer: UInt64
    /// The cache of one session with a full context.
    public let sessionCache: UInt64
    /// What the model keeps at most for instructions that sessions share.
    public let sharedPrefixes: UInt64
    /// What the model works on while it runs, and the small rest.
    public let scratch: UInt64
    /// What can be had now; `nil` where the system does not tell.
    public let available: UInt64?
    /// How well it fits.
    public let fit: Fit
    /// Another way to run the model that fits better, when this does not fit and there is one.
    public let suggestion: Suggestion?

    /// How well a model fits.
    public enum Fit: Sendable, Hashable, CaseIterable {
        /// Everything fits in memory, the weights too.
        case inMemory
        /// It runs, but some weights are read from storage again for each token, which is slow.
        case fromStorage
        /// It does not fit: loading is refused.
        case no
        /// This system does not tell how much memory there is.
        case unknown

        init(_ fit: PocketLMInternal.Fit) {
            switch fit {
            case .inMemory: self = .inMemory
            case .fromStorage: self = .fromStorage
            case .no: self = .no
            case .unknown: self = .unknown
            }
        }
    }

    /// Another way to run a model.
    public struct Suggestion: Sendable, Hashable {
        /// Positions, in tokens, of a session.
        public let context: Int
        /// How keys and values are kept.
        public let cache: LoadOptions.CacheType
        /// How well that fits.
        public let fit: Fit
    }

    init(_ plan: PocketLMInternal.Plan) {
        usesGPU = plan.gpu
        cache = LoadOptions.CacheType(plan.kvType)
        context = Int(clamping: plan.context)
        threads = Int(clamping: plan.threads)
        mappedWeights = plan.weightsMapped
        privateWeights = plan.weightsPrivate
        tokenizer = plan.tokenizer
        sessionCache = plan.kv
        sharedPrefixes = plan.sharedPrefixes
        scratch = plan.scratch
        available = plan.available
        fit = Fit(plan.fit)
        suggestion = plan.suggestion.map {
            Suggestion(
                context: Int(clamping: $0.context),
                cache: LoadOptions.CacheType($0.kvType),
                fit: Fit($0.fit))
        }
    }
}
