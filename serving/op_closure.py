"""Operations of a SavedModel, and whether they are ones that a served model may have.

TF Serving links TensorFlow's own ops and TF Text's. It runs no Python and, unless told otherwise, no XLA. A
model with any other op fails when it is loaded, or when it is first asked. And a graph is a program: with
ReadFile or WriteFile it reads and writes the server's disk. Therefore what is allowed is listed: ops that
make tensors of tensors, TF Text's, and for the weights those that TensorFlow saves and restores with.
"""

from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

# TF Text 2.20 and 2.21 register 38 ops: those called "TFText>..." and these.
TEXT_OPS = frozenset(
    """
    CaseFoldUTF8 ConstrainedSequence FastBertNormalize FastWordpieceTokenizeWithOffsets
    FindSourceOffsets MaxSpanningTree NormalizeUTF8 NormalizeUTF8WithOffsetsMap PhraseTokenize
    RegexSplitWithOffsets RougeL SentenceFragments SentenceFragmentsV2 SentencepieceDetokenizeOp
    SentencepieceIdToStringOp SentencepieceOp SentencepieceStringToIdOp SentencepieceTokenizeOp
    SentencepieceTokenizeWithOffsetsOp SentencepieceVocabSizeOp SplitMergeTokenizeWithOffsets
    TokenizerFromLogits UnicodeScriptTokenizeWithOffsets WhitespaceTokenizeWithOffsets
    WordpieceTokenizeWithOffsets
    """.split()
)
# Ops of TensorFlow without effect on anything but their results, and on tables that are filled from tensors.
# None touches files, network, processes, standard output or Python.
COMPUTING_OPS = frozenset(
    """
    Acos Acosh Asin Asinh Atan Atan2 Atanh BitwiseAnd BitwiseOr BitwiseXor CheckNumerics DepthToSpace
    EnsureShape Invert LeftShift MatrixSetDiagV3 ReduceJoin RightShift SpaceToDepth
    Abs Add AddN AddV2 All Any ArgMax ArgMin AsString Assert AvgPool BatchMatMulV2 BatchMatMulV3
    BatchToSpaceND BiasAdd Bincount Bitcast BroadcastArgs BroadcastTo Bucketize Case Cast Ceil ClipByValue
    Concat ConcatV2 Const Conv2D Cos Cosh CropAndResize CumulativeLogsumexp Cumprod Cumsum DecodeBmp
    DecodeImage DecodeJpeg DecodePng DecodeRaw DenseBincount DepthwiseConv2dNative Div DivNoNan
    DynamicPartition DynamicStitch Einsum Elu EmptyTensorList EncodeBase64 DecodeBase64 Equal Erf Erfc
    Exp ExpandDims Expm1 ExtractImagePatches ExtractJpegShape Fill Floor FloorDiv FloorMod FusedBatchNormV3
    Gather GatherNd GatherV2 Greater GreaterEqual Identity IdentityN If InTopKV2 InvertPermutation IsFinite
    IsInf IsNan L2Loss LeakyRelu Less LessEqual LinSpace Log Log1p LogSoftmax LogicalAnd LogicalNot
    LogicalOr LowerBound MatMul MatrixBandPart MatrixDiagV3 Max MaxPool Maximum Mean Min Minimum MirrorPad
    Mod Mul MulNoNan Neg NextAfter NoOp NonMaxSuppressionV5 NotEqual OneHot OnesLike Pack Pad PadV2
    ParallelDynamicStitch PartitionedCall Placeholder PlaceholderWithDefault Pow PreventGradient Prod
    RaggedGather RaggedRange RaggedTensorFromVariant RaggedTensorToSparse RaggedTensorToTensor
    RaggedTensorToVariant Range Rank RealDiv Reciprocal RegexFullMatch RegexReplace Relu Relu6 Reshape
    ResizeArea ResizeBicubic ResizeBilinear ResizeNearestNeighbor Reverse ReverseSequence ReverseV2 Rint
    Roll Round Rsqrt ScaleAndTranslate ScatterNd SegmentMax SegmentMean SegmentMin SegmentSum Select SelectV2
    Selu Shape ShapeN Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign SpaceToBatchND Split SplitV
    Sqrt Square SquaredDifference Squeeze StatefulPartitionedCall StatelessCase StatelessIf StatelessWhile
    StaticRegexFullMatch StaticRegexReplace StopGradient StridedSlice StringFormat StringJoin StringLength
    StringLower StringSplitV2 StringStrip StringToHashBucketFast StringToNumber StringUpper Sub Substr Sum
    Tan Tanh TensorListConcatV2 TensorListElementShape TensorListFromTensor TensorListGather
    TensorListGetItem TensorListLength TensorListPushBack TensorListReserve TensorListResize
    TensorListScatterV2 TensorListSetItem TensorListStack TensorScatterAdd TensorScatterMax TensorScatterMin
    TensorScatterUpdate TensorStridedSliceUpdate Tile TopKV2 Transpose TruncateDiv TruncateMod
    UnicodeDecode UnicodeDecodeWithOffsets UnicodeEncode UnicodeScript UnicodeTranscode Unique UniqueV2
    UniqueWithCounts Unpack UnsortedSegmentJoin UnsortedSegmentMax UnsortedSegmentMin UnsortedSegmentSum
    UpperBound Where While Xdivy Xlogy ZerosLike
    RandomUniformInt StatelessMultinomial StatelessRandomGetAlg StatelessRandomGetKeyCounter
    StatelessRandomUniformV2 StatelessRandomUniformIntV2 StatelessRandomNormalV2
    DisableCopyOnRead ReadVariableOp ResourceGather VarHandleOp
    HashTableV2 LookupTableFindV2 LookupTableImportV2 LookupTableSizeV2
    """.split()
)
# In the functions that the loader itself calls, and in no other.
SAVING_OPS = frozenset({"SaveV2", "MergeV2Checkpoints", "ShardedFilename"})
RESTORING_OPS = frozenset({"RestoreV2", "AssignVariableOp"})
# In the functions with which Python's loader makes, fills and ends a variable that is small in the files.
RESOURCE_OPS = frozenset({"AssignVariableOp", "DestroyResourceOp"})
XLA_ATTRIBUTE = "_XlaMustCompile"


def read(path) -> Any:
    """Parses a saved_model.pb, and runs nothing of it.

    Raises:
        ValueError: it is none.
    """
    try:
        return saved_model_pb2.SavedModel.FromString(Path(path).read_bytes())
    except DecodeError as error:
        raise ValueError(f"saved_model.pb must hold a SavedModel. Received: {path}: {error}") from error


def ops(path) -> set[str]:
    """Names of all ops of a saved_model.pb; "NAME (XLA)" for a call that must be compiled.

    Args:
        path: a saved_model.pb.
    """
    found = set()
    for meta_graph in read(path).meta_graphs:
        for _, name in _uses(meta_graph.graph_def):
            found.add(name)
    return found


def is_served(op: str) -> bool:
    """Whether a served model may have the op anywhere: a stock TF Serving links it, and it only computes."""
    return op in COMPUTING_OPS or op in TEXT_OPS or op.startswith("TFText>")


def check(path) -> None:
    """Raises unless a saved_model.pb has only ops that a served model may have.

    Raises:
        ValueError: names the ops, or says how the weights are saved or restored otherwise than by TensorFlow.
    """
    missing = set()
    for meta_graph in read(path).meta_graphs:
        saving, restoring = _savers(meta_graph)
        of_resources = _of_resources(meta_graph)
        for function, name in _uses(meta_graph.graph_def):
            is_allowed = is_served(name) or (
                function is not None
                and (
                    name in SAVING_OPS
                    and function == saving
                    or name in RESTORING_OPS
                    and function == restoring
                    or name in RESOURCE_OPS
                    and function in of_resources
                )
            )
            if not is_allowed:
                missing.add(name)
    if missing:
        raise ValueError(
            "An exported model holds ops of TensorFlow and TF Text only, and nothing that runs Python "
            "or XLA, reads or writes files, or prints (`serving.op_closure` lists what is allowed). "
            f"Received: {', '.join(sorted(missing))}."
        )


def _uses(graph):
    """(name of the function, None for the graph itself; op) of each node."""
    for function in graph.library.function:
        if function.attr[XLA_ATTRIBUTE].b:
            yield function.signature.name, f"{function.signature.name} (XLA)"
    bodies = [(None, graph.node), *((f.signature.name, f.node_def) for f in graph.library.function)]
    for function, nodes in bodies:
        for node in nodes:
            yield function, f"{node.op} (XLA)" if node.attr[XLA_ATTRIBUTE].b else node.op


def _savers(meta_graph):
    """Names of the functions that write and that read the weights; None where it is not so.

    Each is called by the one node that the file names for it, and the reader reads where the loader says.
    """
    graph, saver = meta_graph.graph_def, meta_graph.saver_def
    nodes = {node.name: node for node in graph.node}
    functions = {function.signature.name: function for function in graph.library.function}
    everywhere = [*graph.node, *(node for function in functions.values() for node in function.node_def)]
    found = []
    for name in (saver.save_tensor_name, saver.restore_op_name):
        node = nodes.get(name.split(":")[0])
        called = node.attr["f"].func.name if node is not None else None
        callers = [user for user in everywhere if called in _functions_of(user)]
        place = nodes.get(node.input[0].split(":")[0]) if node is not None and node.input else None
        is_asked_for = place is not None and place.op == "Placeholder"
        is_asked_for &= bool(node is not None and called in functions and callers == [node])
        found.append(called if is_asked_for else None)
    saving, restoring = found
    if restoring is not None:
        prefix = functions[restoring].signature.input_arg[0].name
        readers = [node for node in functions[restoring].node_def if node.op == "RestoreV2"]
        if any(node.input[0] != prefix for node in readers):
            restoring = None
    return saving, restoring


def _of_resources(meta_graph):
    """Names of the functions that Python's loader calls for resources, and no node of any graph."""
    objects, numbers = meta_graph.object_graph_def.nodes, set()
    for found in objects:
        numbers |= {saveable.restore_function for saveable in found.saveable_objects.values()}
        if found.WhichOneof("kind") == "resource":
            called = {
                child.node_id
                for child in found.children
                if child.local_name in ("_create_resource", "_destroy_resource")
            }
            numbers |= called
    names = set()
    for number in numbers:
        if number < len(objects):
            names.update(objects[number].function.concrete_functions)
            names.add(objects[number].bare_concrete_function.concrete_function_name)
    graph = meta_graph.graph_def
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return names.difference(*map(_functions_of, nodes))


def _functions_of(node):
    """Names of the functions that a node calls."""
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func.name
        yield from (function.name for function in value.list.func)
