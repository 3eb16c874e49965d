#pragma once

#include <troupe/tensor/creation.hpp>
#include <troupe/tensor/ops/abs.hpp>
#include <troupe/tensor/ops/adam_update.hpp>
#include <troupe/tensor/ops/adaptive_avg_pool2d.hpp>
#include <troupe/tensor/ops/add.hpp>
#include <troupe/tensor/ops/all.hpp>
#include <troupe/tensor/ops/amax.hpp>
#include <troupe/tensor/ops/amin.hpp>
#include <troupe/tensor/ops/any.hpp>
#include <troupe/tensor/ops/argmax.hpp>
#include <troupe/tensor/ops/argmin.hpp>
#include <troupe/tensor/ops/attention.hpp>
#include <troupe/tensor/ops/avg_pool2d.hpp>
#include <troupe/tensor/ops/batch_norm.hpp>
#include <troupe/tensor/ops/cast.hpp>
#include <troupe/tensor/ops/ceil.hpp>
#include <troupe/tensor/ops/clamp.hpp>
#include <troupe/tensor/ops/concat.hpp>
#include <troupe/tensor/ops/conv2d.hpp>
#include <troupe/tensor/ops/copy.hpp>
#include <troupe/tensor/ops/cos.hpp>
#include <troupe/tensor/ops/cross_entropy.hpp>
#include <troupe/tensor/ops/cumsum.hpp>
#include <troupe/tensor/ops/div.hpp>
#include <troupe/tensor/ops/dropout.hpp>
#include <troupe/tensor/ops/elu.hpp>
#include <troupe/tensor/ops/embedding.hpp>
#include <troupe/tensor/ops/eq.hpp>
#include <troupe/tensor/ops/erf.hpp>
#include <troupe/tensor/ops/exp.hpp>
#include <troupe/tensor/ops/expand.hpp>
#include <troupe/tensor/ops/expm1.hpp>
#include <troupe/tensor/ops/floor.hpp>
#include <troupe/tensor/ops/fmod.hpp>
#include <troupe/tensor/ops/gather.hpp>
#include <troupe/tensor/ops/ge.hpp>
#include <troupe/tensor/ops/gelu.hpp>
#include <troupe/tensor/ops/gt.hpp>
#include <troupe/tensor/ops/identity.hpp>
#include <troupe/tensor/ops/index_select.hpp>
#include <troupe/tensor/ops/isfinite.hpp>
#include <troupe/tensor/ops/isinf.hpp>
#include <troupe/tensor/ops/isnan.hpp>
#include <troupe/tensor/ops/layer_norm.hpp>
#include <troupe/tensor/ops/le.hpp>
#include <troupe/tensor/ops/leaky_relu.hpp>
#include <troupe/tensor/ops/lerp.hpp>
#include <troupe/tensor/ops/linear.hpp>
#include <troupe/tensor/ops/log.hpp>
#include <troupe/tensor/ops/log1p.hpp>
#include <troupe/tensor/ops/log_softmax.hpp>
#include <troupe/tensor/ops/logical_and.hpp>
#include <troupe/tensor/ops/logical_not.hpp>
#include <troupe/tensor/ops/logical_or.hpp>
#include <troupe/tensor/ops/logical_xor.hpp>
#include <troupe/tensor/ops/logsigmoid.hpp>
#include <troupe/tensor/ops/losses.hpp>
#include <troupe/tensor/ops/lt.hpp>
#include <troupe/tensor/ops/matmul.hpp>
#include <troupe/tensor/ops/max.hpp>
#include <troupe/tensor/ops/max_pool2d.hpp>
#include <troupe/tensor/ops/maximum.hpp>
#include <troupe/tensor/ops/mean.hpp>
#include <troupe/tensor/ops/min.hpp>
#include <troupe/tensor/ops/minimum.hpp>
#include <troupe/tensor/ops/mul.hpp>
#include <troupe/tensor/ops/ne.hpp>
#include <troupe/tensor/ops/neg.hpp>
#include <troupe/tensor/ops/nll_loss.hpp>
#include <troupe/tensor/ops/normal.hpp>
#include <troupe/tensor/ops/one_hot.hpp>
#include <troupe/tensor/ops/pad.hpp>
#include <troupe/tensor/ops/permute.hpp>
#include <troupe/tensor/ops/pow.hpp>
#include <troupe/tensor/ops/prod.hpp>
#include <troupe/tensor/ops/randint.hpp>
#include <troupe/tensor/ops/reciprocal.hpp>
#include <troupe/tensor/ops/relu.hpp>
#include <troupe/tensor/ops/remainder.hpp>
#include <troupe/tensor/ops/reshape.hpp>
#include <troupe/tensor/ops/rms_norm.hpp>
#include <troupe/tensor/ops/round.hpp>
#include <troupe/tensor/ops/rsqrt.hpp>
#include <troupe/tensor/ops/scaled_dot_product_attention.hpp>
#include <troupe/tensor/ops/sgd_update.hpp>
#include <troupe/tensor/ops/sigmoid.hpp>
#include <troupe/tensor/ops/sign.hpp>
#include <troupe/tensor/ops/silu.hpp>
#include <troupe/tensor/ops/sin.hpp>
#include <troupe/tensor/ops/slice.hpp>
#include <troupe/tensor/ops/softmax.hpp>
#include <troupe/tensor/ops/softplus.hpp>
#include <troupe/tensor/ops/sqrt.hpp>
#include <troupe/tensor/ops/square.hpp>
#include <troupe/tensor/ops/std.hpp>
#include <troupe/tensor/ops/sub.hpp>
#include <troupe/tensor/ops/sum.hpp>
#include <troupe/tensor/ops/tanh.hpp>
#include <troupe/tensor/ops/to_device.hpp>
#include <troupe/tensor/ops/trunc.hpp>
#include <troupe/tensor/ops/uniform.hpp>
#include <troupe/tensor/ops/var.hpp>
#include <troupe/tensor/ops/where.hpp>

#include <span>

namespace troupe {

/// Every op of Troupe's own. Kernels, wire ids, conformance tests and the reference page are made
/// from this list; an op that is not in it does not exist. Append: the order decides nothing, but
/// stable places keep rebuilds small.
using AllOps = OpList<
    Add,
    Sub,
    Mul,
    Div,
    Neg,
    Abs,
    Sign,
    Exp,
    Log,
    Log1p,
    Expm1,
    Sqrt,
    Rsqrt,
    Square,
    Reciprocal,
    Sin,
    TanhBackward,
    Tanh,
    Cos,
    SigmoidBackward,
    Sigmoid,
    ReluBackward,
    Relu,
    LeakyRelu,
    Elu,
    Softplus,
    SiluBackward,
    Silu,
    GeluBackward,
    Gelu,
    Erf,
    Pow,
    Maximum,
    Minimum,
    Floor,
    Ceil,
    Round,
    Trunc,
    Remainder,
    Fmod,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    LogicalAnd,
    LogicalOr,
    LogicalXor,
    LogicalNot,
    Isnan,
    Isinf,
    Isfinite,
    Choose,
    Clamp,
    Lerp,
    Cast,
    Sum,
    Mean,
    Prod,
    Amax,
    Amin,
    All,
    Any,
    Var,
    Std,
    Argmax,
    Argmin,
    Max,
    Min,
    Reshape,
    Permute,
    Expand,
    Slice,
    SliceBackward,
    Copy,
    Identity,
    Matmul,
    Linear,
    Conv2d,
    Conv2dBackwardInput,
    Conv2dBackwardWeight,
    Softmax,
    SoftmaxBackward,
    LogSoftmax,
    LogSoftmaxBackward,
    CrossEntropy,
    CrossEntropyBackward,
    CrossEntropyCurvature,
    MaxPool2d,
    MaxPool2dBackward,
    MaxPool2dTake,
    SgdUpdate,
    AdamUpdate,
    Uniform,
    Normal,
    Randint,
    AvgPool2d,
    AvgPool2dBackward,
    AdaptiveAvgPool2d,
    AdaptiveAvgPool2dBackward,
    LayerNorm,
    LayerNormBackward,
    BatchNormTrain,
    BatchNormBackward,
    BatchNormEval,
    Gather,
    GatherBackward,
    IndexSelect,
    IndexSelectBackward,
    Embedding,
    EmbeddingBackward,
    OneHot,
    Concat,
    Pad,
    DropoutMask,
    Dropout,
    Cumsum,
    NllLoss,
    NllLossBackward,
    Logsigmoid,
    DivRounded,
    ToDevice,
    Attention,
    AttentionBackward,
    RmsNorm,
    RmsNormBackward,
    MaxPool2dValues>;

/// What the engine knows of each, in the list's order.
[[nodiscard]] std::span<const OpInfo* const> all_ops() noexcept;

}  // namespace troupe
