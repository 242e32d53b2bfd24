{{/* The cache volume of a pool. Its folders are hf/ for weights, adapters/ for adapters and compile/ for compiled code. */}}
{{- define "firstword.cacheVolume" -}}
- name: cache
{{- if eq .cache.type "claim" }}
  persistentVolumeClaim: { claimName: {{ .fullname }} }
{{- else if eq .cache.type "existing" }}
  persistentVolumeClaim: { claimName: {{ .cache.existingClaim | quote }} }
{{- else if eq .cache.type "perReplica" }}
  ephemeral:
    volumeClaimTemplate:
      spec:
        {{- include "firstword.claimSpec" (dict "cache" .cache "accessMode" "ReadWriteOnce") | nindent 8 }}
{{- else }}
  emptyDir: { sizeLimit: {{ .cache.size | quote }} }
{{- end }}
{{- end -}}

{{- define "firstword.claimSpec" -}}
accessModes: [{{ .accessMode }}]
{{- with .cache.storageClass }}
storageClassName: {{ . | quote }}
{{- end }}
resources:
  requests: { storage: {{ .cache.size | quote }} }
{{- end -}}

{{/* docs/image.md explains the variables. All writes go to /cache or /tmp. */}}
{{- define "firstword.cacheEnv" -}}
{{- $compiled := printf "/cache/compile/%s" .cacheKey -}}
- { name: HOME, value: {{ printf "%s/home" $compiled | quote }} }
# The user ID has no name in the image. Some libraries need a user name.
- { name: USER, value: firstword }
- { name: LOGNAME, value: firstword }
- { name: HF_HOME, value: /cache/hf }
- { name: VLLM_CACHE_ROOT, value: {{ printf "%s/vllm" $compiled | quote }} }
- { name: TORCHINDUCTOR_CACHE_DIR, value: {{ printf "%s/inductor" $compiled | quote }} }
- { name: TRITON_CACHE_DIR, value: {{ printf "%s/triton" $compiled | quote }} }
- { name: FLASHINFER_WORKSPACE_BASE, value: {{ printf "%s/flashinfer" $compiled | quote }} }
- { name: CUDA_CACHE_PATH, value: {{ printf "%s/cuda" $compiled | quote }} }
- { name: VLLM_NO_USAGE_STATS, value: "1" }
- { name: HF_HUB_DISABLE_TELEMETRY, value: "1" }
{{- end -}}

{{/* Path of an adapter on the cache volume. */}}
{{- define "firstword.adapterPath" -}}
{{- .path | default (printf "/cache/adapters/%s/%s" .name (.revision | default "main" | replace "/" "-")) -}}
{{- end -}}

{{- define "firstword.fetchArgs" -}}
- fetch
{{- if .isHub }}
- {{ .model.name | quote }}
{{- with .model.revision }}
- {{ printf "--revision=%s" . | quote }}
{{- end }}
{{- else }}
- {{ .model.name | quote }}
{{- end }}
{{- range .adapters }}
{{- if .repo }}
- {{ printf "--adapter=%s=%s%s" .name .repo (ternary (printf "@%s" .revision) "" (not (empty .revision))) | quote }}
{{- end }}
{{- end }}
{{- end -}}
