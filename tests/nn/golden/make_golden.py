#!/usr/bin/env python3
"""Makes the reference values beside this script with PyTorch: python3 make_golden.py [FOLDER].

The files are text: a line "name dtype [sizes]" and a line with the elements, each written so that
reading it gives the same bits. They were made with PyTorch 2.14; tests never run this script.
"""
import math
import sys

import torch
from torch import nn
from torch.optim import lr_scheduler as schedules

folder = sys.argv[1] if len(sys.argv) > 1 else "."


class File:
    def __init__(self, name):
        self.out = open(f"{folder}/{name}", "w")
        self.out.write(f"# Made by make_golden.py with PyTorch {torch.__version__.split('+')[0]}.\n")

    def tensor(self, name, value):
        value = torch.as_tensor(value).detach()
        dtype = str(value.dtype).split(".")[1]
        form = {"float32": "{:.9g}", "float64": "{:.17g}"}.get(dtype, "{}")
        self.out.write(f"{name} {dtype} {list(value.shape)}\n")
        self.out.write(" ".join(form.format(v) for v in value.reshape(-1).tolist()) + "\n")


# --- layers: x, the state, y, dy, the gradients, and the buffers afterwards ---------------------


def layer(file, name, module, x, batches=1, scale=1):
    """Runs a module forward and backward; `batches` > 1: on x, 2x, … before, for running statistics."""
    for parameter in module.parameters():
        parameter.data = scale * torch.randn_like(parameter)
    for key, value in module.state_dict().items():
        file.tensor(f"{name}.state.{key}", value)
    for i in range(1, batches):
        module(x * (i + 1))
    if x.is_floating_point():
        x = x.clone().requires_grad_()
    y = module(x)
    dy = torch.randn_like(y)
    y.backward(dy)
    file.tensor(f"{name}.x", x)
    file.tensor(f"{name}.y", y)
    file.tensor(f"{name}.dy", dy)
    if x.is_floating_point():
        file.tensor(f"{name}.dx", x.grad)
    for key, value in module.named_parameters():
        file.tensor(f"{name}.grad.{key}", value.grad)
    for key, value in module.named_buffers():
        file.tensor(f"{name}.after.{key}", value)
    if batches > 1:
        module.eval()
        file.tensor(f"{name}.y_eval", module(x))


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.c_attn = nn.Linear(width, 3 * width)
        self.c_proj = nn.Linear(width, width)

    def forward(self, x):
        parts = [p.unflatten(2, (self.heads, -1)).transpose(1, 2) for p in self.c_attn(x).chunk(3, 2)]
        y = nn.functional.scaled_dot_product_attention(*parts, is_causal=True)
        return self.c_proj(y.transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)})

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        middle = nn.functional.gelu(self.mlp["c_fc"](self.ln_2(x)), approximate="tanh")
        return x + self.mlp["c_proj"](middle)


class Gpt(nn.Module):
    def __init__(self, tied):
        super().__init__()
        self.wte = nn.Embedding(7, 4)
        self.wpe = nn.Embedding(5, 4)
        self.h = nn.ModuleList([Block(4, 2), Block(4, 2)])
        self.ln_f = nn.LayerNorm(4)
        if not tied:
            self.lm_head = nn.Linear(4, 7, bias=False)

    def forward(self, tokens):
        x = self.wte(tokens) + self.wpe.weight[: tokens.shape[1]]
        for block in self.h:
            x = block(x)
        x = self.ln_f(x)
        return self.lm_head(x) if hasattr(self, "lm_head") else nn.functional.linear(x, self.wte.weight)


def layers():
    torch.manual_seed(0)
    file = File("layers.txt")
    layer(file, "linear", nn.Linear(5, 3), torch.randn(4, 5))
    layer(file, "linear_3d_no_bias", nn.Linear(5, 3, bias=False), torch.randn(2, 3, 5))
    images = torch.randn(2, 4, 5, 4)
    layer(file, "conv2d", nn.Conv2d(4, 3, 3), images)
    layer(file, "conv2d_groups", nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), images)
    layer(file, "conv2d_dilation", nn.Conv2d(4, 2, (3, 2), (2, 1), (2, 1), (1, 2), bias=False), images)
    layer(file, "max_pool2d", nn.MaxPool2d(2), images)
    layer(file, "max_pool2d_overlapping", nn.MaxPool2d(3, 2, 1), images)
    layer(file, "max_pool2d_ceil", nn.MaxPool2d((3, 2), ceil_mode=True), images)
    layer(file, "avg_pool2d", nn.AvgPool2d(2), images)
    layer(file, "avg_pool2d_padded", nn.AvgPool2d(3, 2, 1), images)
    layer(file, "avg_pool2d_uncounted", nn.AvgPool2d(3, 2, 1, count_include_pad=False), images)
    layer(file, "adaptive_avg_pool2d", nn.AdaptiveAvgPool2d((3, 4)), images)
    layer(file, "flatten", nn.Flatten(), torch.randn(2, 3, 2, 2))
    x = 2 * torch.randn(3, 5)
    layer(file, "relu", nn.ReLU(), x)
    layer(file, "leaky_relu", nn.LeakyReLU(0.2), x)
    layer(file, "elu", nn.ELU(1.5), x)
    layer(file, "gelu", nn.GELU(), x)
    layer(file, "gelu_tanh", nn.GELU(approximate="tanh"), x)
    layer(file, "silu", nn.SiLU(), x)
    layer(file, "sigmoid", nn.Sigmoid(), x)
    layer(file, "tanh", nn.Tanh(), x)
    layer(file, "softplus", nn.Softplus(), x)
    layer(file, "softmax", nn.Softmax(1), x)
    layer(file, "log_softmax", nn.LogSoftmax(0), x)
    layer(file, "layer_norm", nn.LayerNorm(5), torch.randn(3, 2, 5))
    layer(file, "layer_norm_2d", nn.LayerNorm([3, 2], bias=False), torch.randn(4, 3, 2))
    layer(file, "layer_norm_plain", nn.LayerNorm(5, elementwise_affine=False), torch.randn(3, 5))
    layer(file, "batch_norm1d", nn.BatchNorm1d(4), torch.randn(6, 4), batches=2)
    layer(file, "batch_norm1d_3d", nn.BatchNorm1d(3, momentum=None), torch.randn(4, 3, 2), batches=4)
    layer(file, "batch_norm2d", nn.BatchNorm2d(4), images, batches=3)
    layer(file, "batch_norm2d_plain", nn.BatchNorm2d(4, affine=False), images, batches=2)
    layer(file, "batch_norm2d_untracked", nn.BatchNorm2d(4, track_running_stats=False), images, batches=2)
    indices = torch.tensor([[1, 3, 1], [0, 2, 3]])
    layer(file, "embedding", nn.Embedding(5, 3), indices)
    layer(file, "embedding_padding", nn.Embedding(4, 3, padding_idx=1), indices)
    layer(file, "attention", Attention(6, 3), torch.randn(2, 4, 6), scale=0.5)
    tokens = torch.tensor([[1, 6, 0, 3, 1], [2, 2, 5, 4, 0]])
    layer(file, "gpt_tied", Gpt(tied=True), tokens, scale=0.5)
    layer(file, "gpt_untied_short", Gpt(tied=False), tokens[:, :3], scale=0.5)
    layer(file, "rms_norm", nn.RMSNorm(5), torch.randn(3, 2, 5))
    layer(file, "rms_norm_2d", nn.RMSNorm([3, 2], eps=1e-3), torch.randn(4, 3, 2))
    layer(file, "rms_norm_plain", nn.RMSNorm(5, elementwise_affine=False), torch.randn(3, 5))


# --- losses: input, target, weights, loss and gradient of the input -----------------------------


def loss(file, name, module, x, target):
    x = x.clone().requires_grad_()
    for key, value in module.named_buffers():
        file.tensor(f"{name}.{key}", value)
    y = module(x, target)
    dy = torch.rand_like(y) + 0.5
    y.backward(dy)
    for key, value in {"x": x, "target": target, "y": y, "dy": dy, "dx": x.grad}.items():
        file.tensor(f"{name}.{key}", value)


def losses():
    torch.manual_seed(1)
    file = File("losses.txt")
    x = 2 * torch.randn(5, 4)
    classes = torch.tensor([0, 3, 1, 2, 3])
    weight = torch.tensor([1.0, 0.5, 2.0, 0.25])
    loss(file, "cross_entropy", nn.CrossEntropyLoss(), x, classes)
    loss(file, "cross_entropy_sum", nn.CrossEntropyLoss(reduction="sum"), x, classes)
    loss(file, "cross_entropy_none", nn.CrossEntropyLoss(reduction="none"), x, classes)
    loss(file, "cross_entropy_weight", nn.CrossEntropyLoss(weight), x, classes)
    loss(file, "cross_entropy_ignore", nn.CrossEntropyLoss(ignore_index=3), x, classes)
    loss(file, "cross_entropy_smooth", nn.CrossEntropyLoss(weight, label_smoothing=0.1), x, classes)
    loss(file, "cross_entropy_soft", nn.CrossEntropyLoss(), x, torch.softmax(torch.randn(5, 4), 1))
    places = torch.tensor([[[0, 1], [2, 3]], [[3, 3], [0, 1]]])
    loss(file, "cross_entropy_2d", nn.CrossEntropyLoss(), torch.randn(2, 4, 2, 2), places)
    log_p = torch.log_softmax(x, 1)
    loss(file, "nll", nn.NLLLoss(), log_p, classes)
    loss(file, "nll_weight", nn.NLLLoss(weight, ignore_index=0), log_p, classes)
    target = torch.randn(5, 4)
    loss(file, "mse", nn.MSELoss(), x, target)
    loss(file, "mse_none", nn.MSELoss(reduction="none"), x, target)
    loss(file, "l1", nn.L1Loss(), x, target)
    loss(file, "l1_sum", nn.L1Loss(reduction="sum"), x, target)
    p = torch.rand(5, 4)
    loss(file, "bce_with_logits", nn.BCEWithLogitsLoss(), x, p)
    loss(file, "bce_with_logits_weight", nn.BCEWithLogitsLoss(torch.rand(5, 1), pos_weight=weight), x, p)


# --- optimizers: the weights after each of some steps with given gradients ----------------------


def optimizers():
    file = File("optimizers.txt")
    steps, size = 15, 4
    start = torch.linspace(-1, 2, size, dtype=torch.float64)
    gradients = torch.tensor(
        [[math.sin(1.3 * t + 2.1 * i) * (1 + i) for i in range(size)] for t in range(steps)],
        dtype=torch.float64)
    file.tensor("start", start)
    file.tensor("gradients", gradients)

    def run(name, make):
        weight = nn.Parameter(start.clone())
        optimizer = make([weight])
        path = []
        for gradient in gradients:
            weight.grad = gradient.clone()
            optimizer.step()
            path.append(weight.detach().clone())
        file.tensor(name, torch.stack(path))

    run("sgd", lambda p: torch.optim.SGD(p, lr=0.1))
    run("sgd_decay", lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.05))
    run("sgd_momentum", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9))
    run("sgd_dampening", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.8, dampening=0.3))
    run("sgd_nesterov", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True))
    run("sgd_maximize", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.5, weight_decay=0.1, maximize=True))
    run("adam", lambda p: torch.optim.Adam(p))
    run("adam_decay", lambda p: torch.optim.Adam(p, lr=0.02, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1))
    run("adam_amsgrad", lambda p: torch.optim.Adam(p, lr=0.05, betas=(0.5, 0.6), amsgrad=True))
    run("adam_maximize", lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1, maximize=True))
    run("adamw", lambda p: torch.optim.AdamW(p))
    run("adamw_decay", lambda p: torch.optim.AdamW(p, lr=0.03, weight_decay=0.2, betas=(0.7, 0.9)))
    run("adamw_amsgrad", lambda p: torch.optim.AdamW(p, lr=0.05, betas=(0.5, 0.6), amsgrad=True))


# --- schedules: the rates of two groups, before each step ----------------------------------------


def rates(file, name, make, steps=24):
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (0.1, 0.4)]
    optimizer = torch.optim.SGD(groups)
    schedule = make(optimizer)
    path = []
    for _ in range(steps):
        path.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    file.tensor(name, torch.tensor(path, dtype=torch.float64))


def all_schedules():
    file = File("schedules.txt")
    rates(file, "step", lambda o: schedules.StepLR(o, 5))
    rates(file, "step_gamma", lambda o: schedules.StepLR(o, 4, 0.5))
    rates(file, "multi_step", lambda o: schedules.MultiStepLR(o, [3, 10, 11], 0.3))
    rates(file, "exponential", lambda o: schedules.ExponentialLR(o, 0.9))
    rates(file, "constant", lambda o: schedules.ConstantLR(o))
    rates(file, "linear", lambda o: schedules.LinearLR(o))
    rates(file, "linear_down", lambda o: schedules.LinearLR(o, 1.0, 0.1, 12))
    rates(file, "polynomial", lambda o: schedules.PolynomialLR(o, 15, 2.0))
    rates(file, "cosine", lambda o: schedules.CosineAnnealingLR(o, 10, 0.01))
    rates(file, "restarts", lambda o: schedules.CosineAnnealingWarmRestarts(o, 3, 2, 0.001))
    rates(file, "lambda", lambda o: schedules.LambdaLR(o, lambda step: 1 / (1 + step)))

    def warmup_cosine(o):
        warmup = schedules.LinearLR(o, 0.01, 1.0, 4)
        cosine = schedules.CosineAnnealingLR(o, 16)
        return schedules.SequentialLR(o, [warmup, cosine], [4])

    def three(o):
        parts = [schedules.ConstantLR(o, 0.5, 3), schedules.ExponentialLR(o, 0.8), schedules.StepLR(o, 2, 0.1)]
        return schedules.SequentialLR(o, parts, [5, 12])

    rates(file, "warmup_cosine", warmup_cosine)
    rates(file, "sequential", three)


# --- clipping: the norm before, the gradients after ---------------------------------------------


def clipping():
    torch.manual_seed(2)
    file = File("clipping.txt")
    gradients = [torch.randn(6), 3 * torch.randn(2, 3)]
    for i, gradient in enumerate(gradients):
        file.tensor(f"gradient.{i}", gradient)

    def run(name, clip):
        parameters = [nn.Parameter(torch.zeros_like(g)) for g in gradients]
        for parameter, gradient in zip(parameters, gradients):
            parameter.grad = gradient.clone()
        norm = clip(parameters)
        if norm is not None:
            file.tensor(f"{name}.norm", norm)
        for i, parameter in enumerate(parameters):
            file.tensor(f"{name}.{i}", parameter.grad)

    run("norm", lambda p: nn.utils.clip_grad_norm_(p, 1.5))
    run("norm_large", lambda p: nn.utils.clip_grad_norm_(p, 100.0))
    run("norm_1", lambda p: nn.utils.clip_grad_norm_(p, 2.0, norm_type=1))
    run("norm_inf", lambda p: nn.utils.clip_grad_norm_(p, 0.5, norm_type=math.inf))
    run("value", lambda p: nn.utils.clip_grad_value_(p, 0.75))


layers()
losses()
optimizers()
all_schedules()
clipping()
